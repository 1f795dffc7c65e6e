package raftlocal

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/testcert"
	"github.com/fencelock/fencelock/driver"
)

// listening answers each connection at an address of its own.
func listening(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { defer c.Close(); serve(c) }()
		}
	}()
	return l.Addr().String()
}

// likeRedis answers an inline command that nobody knows, and waits for the end of the line before.
func likeRedis(c net.Conn) {
	b := make([]byte, 256)
	for {
		n, err := c.Read(b)
		if err != nil {
			return
		}
		if strings.Contains(string(b[:n]), "\n") {
			_, _ = io.WriteString(c, "-ERR unknown command\r\n")
		}
	}
}

func mute(c net.Conn) { _, _ = io.Copy(io.Discard, c) }

// authorityOf makes an authority, and certificates of it.
func authorityOf(t *testing.T, name string) (*testcert.Authority, func(change func(*x509.Certificate)) *tls.Config) {
	t.Helper()
	a, err := testcert.NewAuthority(name)
	if err != nil {
		t.Fatal(err)
	}
	return a, func(change func(*x509.Certificate)) *tls.Config {
		cert, err := a.Issue(change)
		if err != nil {
			t.Fatal(err)
		}
		return a.Config(cert)
	}
}

// late is what a busy machine may add.
const late = 5 * time.Second

// TestOpenSaysWhy: who cannot get in is told what came of asking each host, within 5 s, with a kind, and
// although nobody gave a deadline.
func TestOpenSaysWhy(t *testing.T) {
	t.Parallel()
	_, ours := authorityOf(t, "ours")
	_, theirs := authorityOf(t, "theirs")
	member := func(conf Options) string {
		c := newCluster(t, conf, "a")
		takesOne(t, c.client(), "k", "o")
		return c.members["a"].addr()
	}
	named := func(name string) *tls.Config {
		conf := ours(func(c *x509.Certificate) {
			c.DNSNames, c.IPAddresses = []string{name}, nil
			if name == "" {
				c.DNSNames = nil
			}
		})
		return conf
	}
	good := ours(nil)
	good.ServerName = "localhost"
	plain, secure := member(Options{}), member(Options{TLS: good})
	expired := func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	secureWeb := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(secureWeb.Close)
	elsewhere := func(conf *tls.Config) string {
		l, err := tls.Listen("tcp", "127.0.0.1:0", conf)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() { defer c.Close(); mute(c) }()
			}
		}()
		return l.Addr().String()
	}
	withName := func(conf *tls.Config) *tls.Config {
		conf.ServerName = "localhost"
		return conf
	}
	noLeader := func() string {
		c := newCluster(t, Options{}, "a", "b", "c")
		takesOne(t, c.client(), "k", "o")
		c.members["b"].kill()
		c.members["c"].kill()
		// The last of the leader's heartbeats is forgotten after an election timeout.
		for c.members["a"].server.Health() == nil {
			<-time.After(10 * time.Millisecond)
		}
		return c.members["a"].addr()
	}
	for what, is := range map[string]struct {
		host  string
		tls   *tls.Config // nil for insecure
		name  string      // of the cluster
		kind  error
		words []string
	}{
		"nobody there":            {freeAddr(t), nil, "", driver.ErrUnavailable, []string{"no member is reached", "nobody listens there (connection refused)"}},
		"no such host":            {"no-such-host.invalid:7300", nil, "", driver.ErrUnavailable, []string{"no-such-host.invalid"}},
		"mute":                    {listening(t, mute), nil, "", driver.ErrUnavailable, []string{"takes connections and does not answer"}},
		"mute, with TLS":          {listening(t, mute), good, "", driver.ErrUnavailable, []string{"takes connections and does not answer"}},
		"hangs up":                {listening(t, func(net.Conn) {}), nil, "", driver.ErrUnavailable, []string{"closes the connection"}},
		"an HTTP server":          {web.Listener.Addr().String(), nil, "", driver.ErrUnavailable, []string{"an HTTP server answers there"}},
		"an HTTP server, for TLS": {web.Listener.Addr().String(), good, "", driver.ErrRefused, []string{"does not speak TLS"}},
		"an HTTPS server":         {secureWeb.Listener.Addr().String(), nil, "", driver.ErrUnavailable, []string{"fencelock", "answer"}},
		"a Redis":                 {listening(t, likeRedis), nil, "", driver.ErrUnavailable, []string{"as Redis does"}},
		"TLS on a plain port":     {plain, good, "", driver.ErrRefused, []string{"does not speak TLS", "insecure=true"}},
		"plain on a TLS port":     {secure, nil, "", driver.ErrRefused, []string{"takes TLS only", "ca="}},
		"for other names":         {elsewhere(named("other.example")), good, "", driver.ErrRefused, []string{"CN=member, for other.example", "not for localhost"}},
		"for no name":             {elsewhere(named("")), good, "", driver.ErrRefused, []string{"no subjectAltName", "not for localhost"}},
		"unknown authority":       {secure, withName(theirs(nil)), "", driver.ErrRefused, []string{"of another authority", "CN=member, for localhost"}},
		"expired":                 {elsewhere(ours(expired)), good, "", driver.ErrRefused, []string{"has expired (2", "CN=member"}},
		"ours is refused":         {secure, withName(ours(expired)), "", driver.ErrRefused, []string{"does not take our certificate (CN=member, for localhost", "expired"}},
		"ours is for half a use": {
			secure, withName(ours(func(c *x509.Certificate) { c.ExtKeyUsage = c.ExtKeyUsage[:1] })), "", driver.ErrRefused,
			[]string{"does not take our certificate", "clientAuth"},
		},
		"another cluster": {plain, nil, "other", driver.ErrRefused, []string{`is of the cluster "test", and not of "other"`}},
		"no leader": {
			noLeader(), nil, "", driver.ErrUnavailable,
			[]string{"no member leads", "says: no leader is known: not reached: b at", "c at", "nobody listens there"},
		},
	} {
		if is.kind == driver.ErrRefused { //nolint:errorlint // one of two
			is.words = append(is.words, "no member takes us")
		}
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			conf := Options{Hosts: []string{is.host}, TLS: is.tls, Insecure: is.tls == nil, Cluster: is.name}
			began := time.Now()
			b, err := New(context.Background(), &conf) // without a deadline
			if err == nil {
				_ = b.Close()
				t.Fatal("it is opened")
			}
			if took := time.Since(began); took > 5*time.Second+late {
				t.Errorf("it took %v", took)
			}
			if !errors.Is(err, is.kind) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, driver.ErrRefused) != (is.kind == driver.ErrRefused) { //nolint:errorlint // one of two
				t.Errorf("%v is not %v", err, is.kind)
			}
			wantWords(t, what, err.Error(), append(is.words, is.host)...)
		})
	}
}

// TestOpenTellsSchemeAndHost: what the core adds.
func TestOpenTellsSchemeAndHost(t *testing.T) {
	t.Parallel()
	addr := freeAddr(t)
	_, err := fencelock.Open(t.Context(), "raft://"+addr+"?insecure=true", nil)
	if !errors.Is(err, fencelock.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	wantWords(t, "nobody there", err.Error(), "raft://"+addr, "nobody listens there")
}

// TestLockSaysWhy: a call whose context ends in an outage tells what the outage is.
func TestLockSaysWhy(t *testing.T) {
	t.Parallel()
	c := newCluster(t, Options{}, "a", "b", "c")
	u := &url.URL{Scheme: "raft", RawQuery: "insecure=true"}
	for i, p := range c.base.Peers {
		u.Host += []string{"", ",", ","}[i] + p.Addr
	}
	l, err := fencelock.Open(t.Context(), u.Scheme+"://"+u.Host+"?"+u.RawQuery, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, n := range c.members {
		n.kill()
	}
	_, err = l.Lock(within(t, 2*time.Second), "k")
	if !errors.Is(err, fencelock.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	wantWords(t, "Lock", err.Error(), c.base.Peers[0].Addr, c.base.Peers[1].Addr, c.base.Peers[2].Addr, "nobody listens there")
}
