package inputs_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// nobody is an address at which nobody listens.
func nobody(t *testing.T) string {
	t.Helper()
	l := listen(t)
	defer l.Close()
	return l.Addr().String()
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// serve has a server that treats each connection in one way, until the test ends.
func serve(t *testing.T, l net.Listener, treat func(c net.Conn)) string {
	t.Helper()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { _ = c.Close() })
			go treat(c)
		}
	}()
	return l.Addr().String()
}

// silent accepts connections, and says nothing.
func silent(t *testing.T) string {
	return serve(t, listen(t), func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
}

// hangsUp closes each connection at once.
func hangsUp(t *testing.T) string {
	return serve(t, listen(t), func(c net.Conn) { _ = c.Close() })
}

// blackHole is an address whose machine does not even take connections: as many wait there to
// be accepted as there is room for.
func blackHole(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	addr := (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: name.(*syscall.SockaddrInet4).Port}).String()
	for range 8 {
		c, err := net.DialTimeout("tcp", addr, 100*time.Millisecond)
		if err != nil {
			return addr
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	t.Fatal("the backlog does not fill up")
	return ""
}

// web is a web server.
func web(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// miniRedis is a server for the URLs of others.
func miniRedis(t *testing.T) string { return miniredis.RunT(t).Addr() }

// secured has TLS, and hangs up after the handshake, as who expected something else does. files
// are what it shows; clients must show a certificate if trusted is not "".
func secured(t *testing.T, files locktest.PEMFiles, trusted string) string {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	conf := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}}
	if trusted != "" {
		conf.ClientAuth, conf.ClientCAs = tls.RequireAndVerifyClientCert, roots(t, trusted)
	}
	s := &http.Server{Handler: http.NotFoundHandler(), TLSConfig: conf, ErrorLog: log.New(io.Discard, "", 0)}
	l := listen(t)
	go func() { _ = s.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = s.Close() })
	return l.Addr().String()
}

func roots(t *testing.T, file string) *x509.CertPool {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if block, _ := pem.Decode(text); block == nil || !pool.AppendCertsFromPEM(text) {
		t.Fatalf("%s: no certificate", file)
	}
	return pool
}

// socket is where a Unix socket would be.
func socket(t *testing.T) string { return filepath.Join(t.TempDir(), "redis.sock") }
