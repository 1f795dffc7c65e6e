package inputs_test

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// away is a server that cannot be used.
type away struct {
	name  string
	plain string // its address for a URL without TLS; "" if that is not tried
	tls   string // with TLS
	query string // of the URL with TLS
	kind  error
	says  map[string][]string // by scheme; "" for all
}

// reachTimeout bounds Open by contract.
const reachTimeout = 5 * time.Second

var unavailable = fencelock.ErrUnavailable

func TestOpenSaysWhy(t *testing.T) {
	dir := func() string { return t.TempDir() }
	a := locktest.NewAuthority(t)
	ip := func(l *x509.Certificate) { l.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)} }
	good := a.IssueAs(t, dir(), ip)
	noSAN := a.IssueAs(t, dir(), func(*x509.Certificate) {})
	elsewhere := a.IssueAs(t, dir(), func(l *x509.Certificate) { l.DNSNames = []string{"locks.example", "localhost"} })
	expired := a.IssueAs(t, dir(), func(l *x509.Certificate) { ip(l); l.NotAfter = time.Now().Add(-time.Minute) })
	early := a.IssueAs(t, dir(), func(l *x509.Certificate) { ip(l); l.NotBefore = time.Now().Add(time.Hour / 2) })
	client := a.IssueAs(t, dir(), func(l *x509.Certificate) { ip(l); l.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} })
	stranger := locktest.NewAuthority(t).IssueAs(t, dir(), ip)
	ca := "ca=" + good.CA
	secure, wantsOurs := secured(t, good, ""), secured(t, good, good.CA)
	quiet, hole, hang, webServer, mini := silent(t), blackHole(t), hangsUp(t), web(t), miniRedis(t)
	says := func(words ...string) map[string][]string { return map[string][]string{"": words} }
	for _, row := range []away{
		{"nobody", nobody(t), nobody(t), ca, unavailable, says("connection refused")},
		{"silent", quiet, quiet, ca, unavailable, map[string][]string{
			"redis": {"accepts the connection, and does not answer"}, "etcd": {"accepts the connection, and does not answer"},
			"zookeeper": {"accept"}, "": {"says nothing to a TLS handshake"},
		}},
		{"black hole", hole, hole, ca, unavailable, says("nothing answers at " + hole)},
		{"hangs up", hang, hang, ca, unavailable, map[string][]string{
			"redis": {"hangs up"}, "etcd": {"hangs up"}, "zookeeper": {"has closed the connection without an answer"}, "": {"hangs up in the TLS handshake"},
		}},
		{"web server", webServer, secure, ca, invalid, map[string][]string{"etcds": {"404"}, "etcd": {"does not say that it is etcd"}, "": {"a web server", "write the address of"}}},
		{"web server without TLS", "", webServer, ca, invalid, says("a web server")},
		{"Redis without TLS", "", mini, ca, invalid, map[string][]string{"rediss": {"without TLS", "write redis://"}, "": {"is Redis", "write the address of"}}},
		{"a port with TLS", secure, "", "", invalid, map[string][]string{"": {"speaks TLS", "s://" + secure}}},
		{"a port that wants certificates", wantsOurs, "", "", invalid, map[string][]string{"": {"speaks TLS", "s://" + wantsOurs}}},
		{"client certificate", "", wantsOurs, ca, fencelock.ErrRefused, says("certificate required", "cert= and key=")},
		{"no name", "", secured(t, noSAN, ""), ca, unavailable, says("no SAN", "CN=member", "127.0.0.1")},
		{"another name", "", secured(t, elsewhere, ""), ca, unavailable, says("for locks.example, localhost, and not for 127.0.0.1", "server_name=locks.example")},
		{"unknown authority", "", secured(t, stranger, ""), ca, unavailable, says("unknown authority", "another authority", "ca=")},
		{"authority unknown to the system", "", secured(t, stranger, ""), "", unavailable, says("unknown authority", "ca=")},
		{"expired", "", secured(t, expired, ""), ca, unavailable, says("has expired", "valid until")},
		{"not yet valid", "", secured(t, early, ""), ca, unavailable, says("not valid yet", "clock")},
		{"a client's certificate", "", secured(t, client, ""), ca, unavailable, says("serverAuth")},
		{"no such name", "nosuch.invalid", "nosuch.invalid", ca, unavailable, says("no such host")},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			row.try(t)
		})
	}
	t.Run("Redis", func(t *testing.T) {
		for _, scheme := range []string{"etcd", "zookeeper"} {
			expectReason(t, scheme+"://"+mini, 0, invalid, "what answers at "+mini+" is Redis")
		}
	})
	t.Run("no password, and a wrong one", func(t *testing.T) {
		m := miniredis.RunT(t)
		m.RequireUserAuth("bob", secret+"x")
		at := "@" + m.Addr()
		expectReason(t, "redis://"+m.Addr(), 0, fencelock.ErrRefused, "NOAUTH", "redis://user:password@host", "redis://:password@host", "password_file=")
		expectReason(t, "redis://:"+secret+at, 0, fencelock.ErrRefused, "WRONGPASS", "redis://user:password@host", "percent-encoded")
		expectReason(t, "redis://ann:"+secret+at, 0, fencelock.ErrRefused, "WRONGPASS", "redis://user:password@host", "password_file=")
		expectReason(t, "redis://"+secret+at, 0, invalid, "redis://:password@host")
	})
	t.Run("three masters", func(t *testing.T) {
		t.Parallel()
		gone := nobody(t)
		expectReason(t, "redlock://"+gone+","+hole+","+quiet, 0, unavailable,
			gone, "refused", "nothing answers at "+hole, quiet+" accepts the connection, and does not answer")
		expectReason(t, "redlock://"+gone+","+hole+","+quiet, time.Second, unavailable, gone, "refused")
		expectReason(t, "redlock://"+webServer+","+hang+","+gone, 0, invalid, webServer+" is a web server", "the address of Redis")
	})
	t.Run("socket", func(t *testing.T) {
		sock := socket(t)
		expectReason(t, "unix://"+sock, 0, unavailable, "no such file", "redis.sock")
		if err := os.WriteFile(sock, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		expectReason(t, "unix://"+sock, 0, unavailable, "connection refused", "redis.sock")
	})
	t.Run("several", func(t *testing.T) {
		t.Parallel()
		gone := nobody(t)
		for _, scheme := range []string{"etcd", "zookeeper"} {
			expectReason(t, scheme+"://"+gone+","+hole, 0, unavailable, "refused", "nothing answers at "+hole)
		}
		expectReason(t, "etcd://"+gone+","+hole, time.Second, unavailable, "refused", "nothing answers at "+hole)
	})
}

// try opens URLs of all schemes at once.
func (row away) try(t *testing.T) {
	var trying sync.WaitGroup
	defer trying.Wait()
	for _, scheme := range []string{"redis", "etcd", "zookeeper"} {
		for _, u := range []url.URL{{Scheme: scheme, Host: row.plain}, {Scheme: scheme + "s", Host: row.tls, RawQuery: row.query}} {
			words, ok := row.says[u.Scheme]
			if !ok {
				words = row.says[""]
			}
			kind := row.kind
			switch {
			case row.name != "web server":
			case u.Scheme == "etcds":
				kind = fencelock.ErrRefused // it has answered
			case u.Scheme == "etcd":
				kind = unavailable // a proxy of etcd is one, too
			}
			if u.Host == "" {
				continue
			}
			u.User = url.UserPassword("user", secret)
			for _, within := range []time.Duration{0, time.Second} {
				trying.Go(func() { expectReason(t, u.String(), within, kind, words...) })
			}
		}
	}
}

// expectReason opens a URL that does not work, with a context that ends after a time, or never.
func expectReason(t *testing.T, u string, within time.Duration, kind error, words ...string) {
	t.Helper()
	ctx, most := t.Context(), reachTimeout
	if within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, within)
		defer cancel()
		most = within
	}
	began := time.Now()
	c, err := fencelock.Open(ctx, u, &fencelock.Options{Logger: locktest.Silent})
	took := time.Since(began)
	if err == nil {
		_ = c.Close()
		t.Errorf("%s: Open works", strings.ReplaceAll(u, secret, "…"))
		return
	}
	scheme, _, _ := strings.Cut(u, ":")
	t.Logf("%s, within %v: %.2f s: %v", scheme, within, took.Seconds(), err)
	if took > most+locktest.Slack {
		t.Errorf("it took %v", took)
	}
	if ended := ctx.Err() != nil; errors.Is(err, context.DeadlineExceeded) != ended && (!ended || !errors.Is(err, kind)) {
		t.Errorf("%v: context.DeadlineExceeded: %v", err, !ended)
	}
	if !errors.Is(err, kind) {
		t.Errorf("%v; want %v", err, kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v; want it to say %q", err, w)
		}
	}
	if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%q shows the password, or has two lines", err)
	}
}
