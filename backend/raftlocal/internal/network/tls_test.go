package network_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/testcert"
)

func authority(t *testing.T) *testcert.Authority {
	t.Helper()
	a, err := testcert.NewAuthority("test")
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func secure(t *testing.T, a *testcert.Authority, change func(*x509.Certificate)) *network.Secure {
	t.Helper()
	cert, err := a.Issue(change)
	if err != nil {
		t.Fatal(err)
	}
	s, err := network.NewSecure(a.Config(cert))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// meet connects two, and returns what each of them thinks of it once a byte should have arrived.
func meet(t *testing.T, server, client *network.Secure) (serverErr, clientErr error) {
	t.Helper()
	l, err := network.System().Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		served <- func() error {
			conn, err := l.Accept()
			if err != nil {
				return err
			}
			defer conn.Close()
			if server != nil {
				if conn, err = server.Server(t.Context(), conn); err != nil {
					return err
				}
			}
			_, err = conn.Write(make([]byte, 16))
			return err
		}()
	}()
	clientErr = func() error {
		dial := network.System()
		if client != nil {
			dial = network.Secured(dial, client)
		}
		conn, err := dial.Dial(t.Context(), l.Addr().String())
		if err != nil {
			return err
		}
		defer conn.Close()
		_, err = io.ReadFull(conn, make([]byte, 1))
		return err
	}()
	return <-served, clientErr
}

func TestMutualTLS(t *testing.T) {
	ours, theirs := authority(t), authority(t)
	good := secure(t, ours, nil)
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	serverOnly := func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }
	elsewhere := func(c *x509.Certificate) { c.IPAddresses = nil }
	for name, is := range map[string]struct {
		server, client *network.Secure
		atServer       string // what the error says, or empty
		atClient       string
	}{
		"good":                   {good, good, "", ""},
		"another authority":      {good, secure(t, theirs, nil), "tls", "authority"},
		"expired client":         {good, secure(t, ours, expired), "renew", "take our certificate"},
		"expired server":         {secure(t, ours, expired), good, "certificate", "renew"},
		"client with half a use": {good, secure(t, ours, serverOnly), "clientAuth", "take our certificate"},
		"server of another name": {secure(t, ours, elsewhere), good, "certificate", "server_name"},
	} {
		t.Run(name, func(t *testing.T) {
			atServer, atClient := meet(t, is.server, is.client)
			for _, side := range []struct {
				who  string
				err  error
				want string
			}{{"server", atServer, is.atServer}, {"client", atClient, is.atClient}} {
				if (side.err == nil) != (side.want == "") || side.err != nil && !strings.Contains(side.err.Error(), side.want) {
					t.Errorf("the %s: %v, want %q in it", side.who, side.err, side.want)
				}
			}
		})
	}
}

func TestWithoutTLS(t *testing.T) {
	if _, err := meet(t, nil, secure(t, authority(t), nil)); err == nil || !strings.Contains(err.Error(), "insecure=true") {
		t.Errorf("got %v, want the cure", err)
	}
	for what, conf := range map[string]*tls.Config{"authority": {}, "certificate": {RootCAs: x509.NewCertPool()}} {
		if _, err := network.NewSecure(conf); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("without %s: %v", what, err)
		}
	}
}

// A certificate that is renewed is used for the next connection, and one that cannot be read
// does no harm.
func TestRenewing(t *testing.T) {
	a := authority(t)
	dir := t.TempDir()
	write := func() (serial []byte) {
		cert, err := a.Issue(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Write(dir, cert); err != nil {
			t.Fatal(err)
		}
		return cert.Certificate[0]
	}
	first := write()
	cert, err := a.Issue(nil)
	if err != nil {
		t.Fatal(err)
	}
	conf := a.Config(cert)
	if err := network.Renewing(conf, dir+"/cert.pem", dir+"/key.pem"); err != nil {
		t.Fatal(err)
	}
	shown := func() string {
		c, err := conf.GetClientCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(c.Certificate[0])
	}
	if shown() != string(first) {
		t.Error("it does not show the file's")
	}
	second := write()
	if shown() != string(second) {
		t.Error("it does not show the renewed one")
	}
	if err := os.Remove(dir + "/key.pem"); err != nil {
		t.Fatal(err)
	}
	if shown() != string(second) {
		t.Error("it does not keep the last")
	}
	if err := network.Renewing(conf, dir+"/cert.pem", dir+"/key.pem"); err == nil {
		t.Error("a key that is missing is not found out")
	}
}

func TestSplit(t *testing.T) {
	for addr, want := range map[string][2]string{"h:1": {"tcp", "h:1"}, "unix:/a/b": {"unix", "/a/b"}} {
		if kind, rest := network.Split(addr); [2]string{kind, rest} != want {
			t.Errorf("%s: %s, %s", addr, kind, rest)
		}
	}
}

// dialled reports whether somebody listens at an address.
func dialled(t *testing.T, n network.Network, addr string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	conn, err := n.Dial(ctx, addr)
	if err == nil {
		_ = conn.Close()
	}
	return err
}

func acceptAll(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_ = conn.Close()
	}
}
