package redlock_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/redis/redlock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestOpenWithOneDown: a list is set up with all its nodes there. Afterwards a client opens with
// a majority, and says what is missing; which joins when it is back.
func TestOpenWithOneDown(t *testing.T) {
	t.Parallel()
	w := ownEnv(t, 3)
	down := w.masters[2]
	down.Kill(t)
	expectNoOpening(t, w.url(w.addrs()...), down.Addr(), "connection refused")
	down.Restart(t)
	locktest.Unlock(t, locktest.Lock(t, w.open(t, longTTL), "k"))

	down.Kill(t)
	var log locktest.Log
	began := time.Now()
	c, err := fencelock.Open(t.Context(), w.url(w.addrs()...), &fencelock.Options{TTL: shortTTL, Logger: log.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if took := time.Since(began); took > locktest.Slack {
		t.Errorf("Open took %v with two of three", took)
	}
	if i := c.Info(); i.Guarantee != driver.FencedOrder {
		t.Errorf("Info = %+v; want fenced order", i)
	}
	locktest.Eventually(t, locktest.Soon, "the log says what is missing", func() bool { return strings.Contains(log.String(), down.Addr()) })
	l := locktest.Lock(t, c, "k")
	down.Restart(t)
	w.awaitEverywhere(t, shortTTL+2*locktest.Soon, l)
	locktest.Unlock(t, l)
}

// TestWeakMasterIsRefused: a node of a fenced list that does not sync each write any more is not
// used, so that the level never sinks; and used again when it does.
func TestWeakMasterIsRefused(t *testing.T) {
	t.Parallel()
	// Weak from their start; what is set afterwards is gone with a restart.
	w := newEnv(t, servers.StartMasters(t, kinds(t, 3), servers.Args("--appendonly", "yes", "--appendfsync", "everysec")))
	set := func(i int) {
		t.Helper()
		if err := w.admins[i].ConfigSet(t.Context(), "appendfsync", "always").Err(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range w.masters {
		set(i)
	}
	holder, other := w.proxied(t, shortTTL), w.proxied(t, shortTTL)
	held := locktest.Lock(t, holder, "k")
	w.masters[0].Kill(t)
	w.masters[0].Restart(t)
	back := time.Now()
	locktest.AwaitRenewal(t, held, shortTTL, back)
	late := w.proxied(t, shortTTL)
	for _, c := range []*proxiedClient{holder, other, late} {
		if i := c.Info(); i.Guarantee != driver.FencedOrder {
			t.Errorf("Info = %+v; want fenced order", i)
		}
		locktest.Eventually(t, locktest.Soon, "the log says what is wrong", func() bool {
			return strings.Contains(c.log.String(), "everysec")
		})
		l := locktest.Lock(t, c, "new")
		if w.record(0, "new") != "" {
			t.Error("the weak master has a new lock")
		}
		locktest.Unlock(t, l)
	}
	set(0)
	w.awaitEverywhere(t, shortTTL+2*locktest.Soon, held)
	l := locktest.Lock(t, late, "new")
	w.awaitEverywhere(t, shortTTL+locktest.Soon, l)
	locktest.Unlock(t, l)
	locktest.Unlock(t, held)
}

// TestLevel: a list of nodes of which one may lose what it has granted is advisory; the reason is
// named, and a client that asks for more is refused.
func TestLevel(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		why  string
		args []string
	}{
		{"appendonly", nil},
		{"appendfsync", []string{"--appendonly", "yes", "--appendfsync", "everysec"}},
		{"no-appendfsync-on-rewrite", []string{"--appendonly", "yes", "--appendfsync", "always", "--no-appendfsync-on-rewrite", "yes"}},
		{"noeviction", []string{"--appendonly", "yes", "--appendfsync", "always", "--maxmemory", "1gb", "--maxmemory-policy", "volatile-lru"}},
	} {
		t.Run(tc.why, func(t *testing.T) {
			t.Parallel()
			weak := servers.Start(t, servers.Redis, servers.Args(tc.args...))
			w := newEnv(t, append([]*servers.Server{weak}, servers.SharedMasters(t, kinds(t, 5), durable())[:2]...))
			c := w.open(t, longTTL)
			i := c.Info()
			if i.Guarantee != driver.Advisory {
				t.Errorf("Info = %+v; want advisory", i)
			}
			if said := strings.Join(i.Warnings, "; "); !strings.Contains(said, tc.why) || !strings.Contains(said, weak.Addr()) {
				t.Errorf("it warns %q; want %s of %s", said, tc.why, weak.Addr())
			}
			locktest.Unlock(t, locktest.Lock(t, c, "k"))
			_, err := fencelock.Open(t.Context(), w.url(w.addrs()...), &fencelock.Options{RequireGuarantee: driver.FencedOrder, Logger: locktest.Silent})
			if !errors.Is(err, fencelock.ErrUnsupported) || !strings.Contains(err.Error(), tc.why) {
				t.Errorf("Open that requires fenced order: %v; want ErrUnsupported and %q", err, tc.why)
			}
		})
	}
	t.Run("fenced order", func(t *testing.T) {
		t.Parallel()
		w := sharedEnv(t, 3)
		c, err := fencelock.Open(t.Context(), w.url(w.addrs()...), &fencelock.Options{RequireGuarantee: driver.FencedOrder, Logger: locktest.Silent})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if i := c.Info(); len(i.Warnings) > 0 {
			t.Errorf("it warns %q", i.Warnings)
		}
		_, err = fencelock.Open(t.Context(), w.url(w.addrs()...), &fencelock.Options{RequireGuarantee: driver.Linearizable, Logger: locktest.Silent})
		if !errors.Is(err, fencelock.ErrUnsupported) {
			t.Errorf("Open that requires linearizable: %v; want ErrUnsupported", err)
		}
	})
}

// TestOpen goes each way that there is to the nodes: with TLS, with a password, as a user, in
// another database; and is told what is wrong where one of them turns it away.
func TestOpen(t *testing.T) {
	t.Parallel()
	w := newEnv(t, servers.StartMasters(t, kinds(t, 3), servers.TLS(), servers.Args("--requirepass", locktest.Secret), durable()))
	var tlsAddrs []string
	for _, s := range w.masters {
		tlsAddrs = append(tlsAddrs, s.TLSAddr())
		admin := goredis.NewClient(&goredis.Options{Addr: s.Addr(), Password: locktest.Secret})
		if err := admin.Do(t.Context(), "ACL", "SETUSER", "ann", "on", ">"+locktest.Secret, "~*", "&*", "+@all").Err(); err != nil {
			t.Fatal(err)
		}
		_ = admin.Close()
	}
	f := locktest.CertificateFiles(t, w.masters[0].TLSAddr(), w.masters[0].TLSConfig())
	u := func(scheme string, user *url.Userinfo, hosts []string, path, query string) string {
		return (&url.URL{Scheme: scheme, User: user, Host: strings.Join(hosts, ","), Path: path, RawQuery: query}).String()
	}
	password, ann := url.UserPassword("", locktest.Secret), url.UserPassword("ann", locktest.Secret)
	keys := "&cert=" + f.Cert + "&key=" + f.Key
	for name, good := range map[string]string{
		"password":      u("redlock", password, w.addrs(), "", ""),
		"user":          u("redlock", ann, w.addrs(), "", ""),
		"database":      u("redlock", ann, w.addrs(), "/3", ""),
		"TLS":           u("redlocks", ann, tlsAddrs, "/1", "ca="+f.CA+keys),
		"TLS, own name": u("redlocks", ann, tlsAddrs, "", "ca="+f.CA+keys+"&server_name=localhost"),
	} {
		if err := locktest.OpenURL(t, good); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	locktest.ExpectRefusal(t, u("redlock", nil, w.addrs(), "", ""), "NOAUTH", w.addrs()[0], w.addrs()[2])
	locktest.ExpectRefusal(t, u("redlock", url.UserPassword("", locktest.Secret+"x"), w.addrs(), "", ""), "WRONGPASS")
	locktest.ExpectRefusal(t, u("redlock", ann, w.addrs(), "/9999", ""), "DB index is out of range")
	locktest.ExpectRefusal(t, u("redlocks", ann, tlsAddrs, "", "ca="+f.Other+keys), "certificate")
	locktest.ExpectRefusal(t, u("redlocks", ann, tlsAddrs, "", "ca="+f.CA), "client certificate")
	locktest.ExpectRefusal(t, u("redlock", ann, tlsAddrs, "", ""), "speaks TLS", "redlocks://")
	locktest.ExpectRefusal(t, u("redlocks", ann, w.addrs(), "", "ca="+f.CA), "without TLS", "redlock://")
}

// TestOwnClients: from clients that the application has. Close ends what was made, and not what was
// brought.
func TestOwnClients(t *testing.T) {
	t.Parallel()
	w := sharedEnv(t, 3)
	var clients []goredis.UniversalClient
	for _, a := range w.admins {
		clients = append(clients, a)
	}
	b, err := redlock.New(t.Context(), clients, &redlock.Options{Namespace: w.ns})
	if err != nil {
		t.Fatal(err)
	}
	c, other := locktest.New(t, b, longTTL), w.open(t, longTTL)
	l := locktest.Lock(t, c, "k")
	if _, err := other.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
		t.Errorf("TryLock by another = %v, want ErrHeld", err)
	}
	locktest.Unlock(t, l)
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	for _, a := range w.admins {
		if err := a.Ping(context.Background()).Err(); err != nil {
			t.Errorf("the application's client after Close: %v", err)
		}
	}
	if b, err := redlock.New(t.Context(), clients[:2], &redlock.Options{Namespace: w.ns}); err == nil || !strings.Contains(err.Error(), "3, 5 or 7") {
		t.Errorf("New of two clients = %v, %v", b, err)
	}
}
