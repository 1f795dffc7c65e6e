package network_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/network"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/testcert"
	"github.com/fencelock/fencelock/driver/address"
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

// renewed is TLS with the files in a directory.
func renewed(t *testing.T, dir string) *network.Secure {
	t.Helper()
	files, err := address.TLS(url.Values{"ca": {dir + "/ca.pem"}, "cert": {dir + "/cert.pem"}, "key": {dir + "/key.pem"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := network.Renewed(files)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What is in the files is used for the next connection, by who listens and by who dials, the
// authority, too. What cannot be read does no harm.
func TestRenewed(t *testing.T) {
	old, next := authority(t), authority(t)
	write := func(a *testcert.Authority, dirs ...string) {
		t.Helper()
		for _, dir := range dirs {
			cert, err := a.Issue(nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := a.Write(dir, cert); err != nil {
				t.Fatal(err)
			}
		}
	}
	ours, theirs := t.TempDir(), t.TempDir()
	write(old, ours, theirs)
	server, client := renewed(t, ours), renewed(t, theirs)
	if atServer, atClient := meet(t, server, client); atServer != nil || atClient != nil {
		t.Fatalf("at first: %v, %v", atServer, atClient)
	}
	write(next, ours)
	if _, atClient := meet(t, server, client); atClient == nil || !strings.Contains(atClient.Error(), "authority") {
		t.Errorf("who listens has another authority's certificate: %v", atClient)
	}
	if atServer, _ := meet(t, secure(t, old, nil), client); atServer != nil {
		t.Errorf("who dials has what it had: %v", atServer)
	}
	if atServer, _ := meet(t, server, secure(t, old, nil)); atServer == nil {
		t.Error("who listens trusts the authority that it had")
	}
	write(next, theirs)
	if atServer, atClient := meet(t, server, client); atServer != nil || atClient != nil {
		t.Errorf("both have another authority: %v, %v", atServer, atClient)
	}
	if err := os.Remove(ours + "/key.pem"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(theirs+"/ca.pem", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if atServer, atClient := meet(t, server, client); atServer != nil || atClient != nil {
		t.Errorf("with files that cannot be read: %v, %v", atServer, atClient)
	}
}

// What an application chooses for a client cannot let in who shows no certificate of the authority.
func TestChosenForAClient(t *testing.T) {
	ours, theirs, other := authority(t), authority(t), authority(t)
	issue := func(a *testcert.Authority) tls.Certificate {
		cert, err := a.Issue(nil)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	own := issue(ours)
	for what, is := range map[string]struct {
		chosen *tls.Config
		client *testcert.Authority
		want   string
	}{
		"nothing":               {nil, ours, ""},
		"no authority":          {&tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}, ours, ""},
		"no authority, another": {&tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}, theirs, "authority"},
		"another authority":     {&tls.Config{Certificates: []tls.Certificate{own}, ClientCAs: theirs.Config(own).RootCAs, MinVersion: tls.VersionTLS12}, theirs, ""},
		"and not the first":     {&tls.Config{Certificates: []tls.Certificate{own}, ClientCAs: other.Config(own).RootCAs, MinVersion: tls.VersionTLS12}, ours, "authority"},
	} {
		conf := ours.Config(own)
		conf.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return is.chosen, nil }
		server, err := network.NewSecure(conf)
		if err != nil {
			t.Fatal(err)
		}
		trusting := ours.Config(issue(is.client)) // our certificate is of ours
		client, err := network.NewSecure(trusting)
		if err != nil {
			t.Fatal(err)
		}
		atServer, _ := meet(t, server, client)
		if (atServer == nil) != (is.want == "") || atServer != nil && !strings.Contains(atServer.Error(), is.want) {
			t.Errorf("%s is chosen: %v, want %q", what, atServer, is.want)
		}
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
