package redis_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestOpen goes each way that there is to a server: with TLS, by a socket, with a
// password, as a user; and is told what is wrong where it is turned away.
func TestOpen(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s := servers.Start(t, kind, servers.TLS(), servers.UnixSocket(), servers.Args("--requirepass", locktest.Secret))
			admin := goredis.NewClient(&goredis.Options{Addr: s.Addr(), Password: locktest.Secret})
			t.Cleanup(func() { _ = admin.Close() })
			if err := admin.Do(t.Context(), "ACL", "SETUSER", "ann", "on", ">"+locktest.Secret, "~*", "&*", "+@all").Err(); err != nil {
				t.Fatal(err)
			}
			f := locktest.CertificateFiles(t, s.TLSAddr(), s.TLSConfig())
			u := func(scheme string, user *url.Userinfo, host, path, query string) string {
				return (&url.URL{Scheme: scheme, User: user, Host: host, Path: path, RawQuery: query}).String()
			}
			password, ann := url.UserPassword("", locktest.Secret), url.UserPassword("ann", locktest.Secret)
			keys := "&cert=" + f.Cert + "&key=" + f.Key
			for name, good := range map[string]string{
				"password":      u("redis", password, s.Addr(), "", ""),
				"user":          u("redis", ann, s.Addr(), "", ""),
				"database":      u("redis", ann, s.Addr(), "/3", ""),
				"socket":        u("unix", password, "", s.Socket(), ""),
				"socket, user":  u("unix", ann, "", s.Socket(), "db=2"),
				"TLS":           u("rediss", ann, s.TLSAddr(), "/1", "ca="+f.CA+keys),
				"TLS, own name": u("rediss", ann, s.TLSAddr(), "", "ca="+f.CA+keys+"&server_name=localhost"),
			} {
				if err := locktest.OpenURL(t, good); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}
			locktest.ExpectRefusal(t, u("redis", nil, s.Addr(), "", ""), "NOAUTH")
			locktest.ExpectRefusal(t, u("redis", url.UserPassword("", locktest.Secret+"x"), s.Addr(), "", ""), "WRONGPASS")
			locktest.ExpectRefusal(t, u("redis", url.UserPassword("bob", locktest.Secret), s.Addr(), "", ""), "WRONGPASS")
			locktest.ExpectRefusal(t, u("redis", ann, s.Addr(), "/9999", ""), "DB index is out of range")
			locktest.ExpectRefusal(t, u("unix", ann, "", s.Socket()+".not", ""), "no such file")
			locktest.ExpectRefusal(t, u("rediss", ann, s.TLSAddr(), "", strings.TrimPrefix(keys, "&")), "certificate")
			locktest.ExpectRefusal(t, u("rediss", ann, s.TLSAddr(), "", "ca="+f.Other+keys), "certificate")
			locktest.ExpectRefusal(t, u("rediss", ann, s.TLSAddr(), "", "ca="+f.CA+keys+"&server_name=elsewhere.example"), "elsewhere.example")
			locktest.ExpectRefusal(t, u("rediss", ann, s.TLSAddr(), "", "ca="+f.CA), "client certificate") // which the server wants
			locktest.ExpectRefusal(t, u("redis", ann, s.TLSAddr(), "", ""), "speaks TLS", "write rediss://"+s.TLSAddr())
			locktest.ExpectRefusal(t, u("rediss", ann, s.Addr(), "", "ca="+f.CA), "without TLS", "write redis://"+s.Addr())
		})
	}
}

// TestOpenWithoutServer: it does not take long to say that there is none, and what
// does not answer is given up.
func TestOpenWithoutServer(t *testing.T) {
	t.Parallel()
	p := through(t, servers.Shared(t, servers.Redis).Addr())
	expect := func(ctx context.Context, u string, within time.Duration) {
		t.Helper()
		began := time.Now()
		_, err := fencelock.Open(ctx, u, &fencelock.Options{Logger: locktest.Silent})
		if !errors.Is(err, fencelock.ErrUnavailable) && !errors.Is(err, ctx.Err()) || err == nil {
			t.Errorf("Open = %v, want ErrUnavailable or its context's error", err)
		}
		if took := time.Since(began); took > within {
			t.Errorf("Open took %v", took)
		}
	}
	p.Refuse()
	expect(t.Context(), "redis://"+p.Addr(), time.Second)
	p.Admit()
	p.Blackhole()
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	expect(ctx, "redis://"+p.Addr(), 2*time.Second)
	p.Heal()
	// A server without TLS waits for the rest of what it takes for a command. It is found out.
	began := time.Now()
	locktest.ExpectRefusal(t, "rediss://"+p.Addr(), "without TLS", "write redis://"+p.Addr())
	if took := time.Since(began); took > 4*time.Second {
		t.Errorf("Open took %v", took)
	}
}

// TestIsolation: databases and namespaces are worlds of their own.
func TestIsolation(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.Redis), locktest.Namespace()
	here := open(t, s.Addr(), ns, time.Minute)
	held := locktest.Lock(t, here, "k")
	for _, other := range []string{
		"redis://" + s.Addr() + "/1?namespace=" + ns,
		"redis://" + s.Addr() + "?namespace=" + ns + "2",
		"redis://" + s.Addr() + "?namespace=" + ns + ":k",
		"redis://" + s.Addr() + "?namespace=" + ns[:len(ns)-1],
	} {
		c, err := fencelock.Open(t.Context(), other, &fencelock.Options{Logger: locktest.Silent})
		if err != nil {
			t.Fatal(err)
		}
		if s, err := c.Inspect(t.Context(), "k"); err != nil || s.Held() {
			t.Errorf("%s: Inspect = %+v, %v; want nobody", other, s, err)
		}
		if _, err := c.Evict(t.Context(), "k", ""); !errors.Is(err, fencelock.ErrNotHeld) {
			t.Errorf("%s: Evict = %v, want ErrNotHeld", other, err)
		}
		locktest.Unlock(t, locktest.Lock(t, c, "k"))
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	same, err := fencelock.Open(t.Context(), "redis://"+s.Addr()+"/0", &fencelock.Options{Namespace: ns, Logger: locktest.Silent})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := same.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
		t.Errorf("TryLock in the same namespace = %v, want ErrHeld", err)
	}
	if err := same.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	locktest.Unlock(t, held)
}

// TestExistingClientStaysOpen: Close ends what was made, and not what was brought.
func TestExistingClientStaysOpen(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.Redis), locktest.Namespace()
	app := raw(t, s.Addr())
	for range 2 {
		b, err := redis.New(t.Context(), app, &redis.Options{Namespace: ns})
		if err != nil {
			t.Fatal(err)
		}
		c := locktest.New(t, b, fencelock.DefaultTTL)
		locktest.Lock(t, c, "k") // Close unlocks it
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := app.Ping(t.Context()).Err(); err != nil {
			t.Fatalf("the application's client after Close: %v", err)
		}
		expectNothingLeft(t, app, ns)
	}
	locktest.Eventually(t, locktest.Soon, "nobody listens any more", func() bool {
		return len(app.PubSubChannels(t.Context(), ns+":*").Val()) == 0
	})
}
