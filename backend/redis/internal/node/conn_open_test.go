//go:build unix && !aix

package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
	"time"
)

// A connection that the server has closed is told from one that is only quiet, with TLS
// and without.
func TestOpenSeesTheEnd(t *testing.T) {
	for name, end := range map[string]func(net.Conn){
		"closed": func(c net.Conn) { _ = c.Close() },
		"reset": func(c net.Conn) {
			if outer, ok := c.(*tls.Conn); ok {
				c = outer.NetConn()
			}
			_ = c.(*net.TCPConn).SetLinger(0)
			_ = c.Close()
		},
	} {
		for _, secured := range []bool{false, true} {
			near, far := connected(t, secured)
			l := &conn{raw: near}
			for range 3 {
				_ = near.SetDeadline(time.Now().Add(-time.Second)) // left by the last command
				if !l.open() {
					t.Fatalf("%s, TLS %v: a connection that is open is taken for closed", name, secured)
				}
			}
			end(far)
			for began := time.Now(); l.open(); time.Sleep(time.Millisecond) {
				if time.Since(began) > 5*time.Second {
					t.Fatalf("%s, TLS %v: the end is not seen", name, secured)
				}
			}
		}
	}
}

// What cannot be looked into counts as open.
func TestOpenOfAnotherKind(t *testing.T) {
	near, far := net.Pipe()
	_ = far.Close()
	if !(&conn{raw: near}).open() {
		t.Error("a connection that nobody can look into is taken for closed")
	}
}

// connected returns both ends of a connection on which a byte has gone each way.
func connected(t *testing.T, secured bool) (near, far net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	accepted := make(chan net.Conn)
	go func() {
		c, _ := listener.Accept()
		accepted <- c
	}()
	if near, err = net.Dial("tcp", listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	far = <-accepted
	if secured {
		near = tls.Client(near, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // no secret passes
		far = tls.Server(far, &tls.Config{Certificates: []tls.Certificate{selfSigned(t)}, MinVersion: tls.VersionTLS12})
	}
	t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
	echoed := make(chan error)
	go func() {
		_, err := io.CopyN(far, far, 1)
		echoed <- err
	}()
	if _, err := near.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(near, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := <-echoed; err != nil {
		t.Fatal(err)
	}
	return near, far
}

func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
