package etcd_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/etcd"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// patience is how long a client that is turned away goes on to try. What is wrong
// has to be told even so.
const patience = 3 * time.Second

// tryURL opens a URL, has a lock taken and freed through it, and closes it again.
func tryURL(t *testing.T, u, ns string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := fencelock.Open(ctx, u, &fencelock.Options{Namespace: ns, Logger: locktest.Silent})
	if err == nil {
		defer func() {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		}()
		var l *fencelock.Lease
		if l, err = c.Lock(ctx, "k"); err == nil {
			locktest.Unlock(t, l)
			return nil
		}
	}
	if plain, encoded := secret, url.QueryEscape(secret); strings.Contains(err.Error(), plain) || strings.Contains(err.Error(), encoded) {
		t.Errorf("the error shows the password: %v", err)
	}
	return err
}

// expectRefusal wants Open, or the first Lock, to fail soon, with words that tell
// why.
func expectRefusal(t *testing.T, u, ns string, why ...string) {
	t.Helper()
	began := time.Now()
	err := tryURL(t, u, ns)
	if err == nil {
		t.Errorf("Open and Lock succeeded; want an error that says %q", why)
		return
	}
	if took := time.Since(began); took > patience+locktest.Slack {
		t.Errorf("it took %v to say %v", took, err)
	}
	for _, w := range why {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("Open, or Lock: %v; want an error that says %q", err, w)
		}
	}
}

// TestOpenWithoutServer: it says that there is none, when its context ends at the
// latest.
func TestOpenWithoutServer(t *testing.T) {
	t.Parallel()
	p := through(t, servers.Shared(t, servers.Etcd).Addr())
	for _, name := range []string{"refuses", "silent"} {
		if name == "refuses" {
			p.Refuse()
		} else {
			p.Admit()
			p.Blackhole()
		}
		for _, user := range []string{"", url.UserPassword("locks", secret).String() + "@"} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			began := time.Now()
			_, err := fencelock.Open(ctx, "etcd://"+user+p.Addr(), &fencelock.Options{Logger: locktest.Silent})
			cancel()
			if !errors.Is(err, fencelock.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded) {
				t.Fatalf("%s: Open = %v, want ErrUnavailable or its context's error", name, err)
			}
			if took := time.Since(began); took > time.Second+locktest.Slack {
				t.Errorf("%s: Open took %v", name, took)
			}
			if user != "" && strings.Contains(err.Error(), user) || strings.Contains(err.Error(), secret) {
				t.Errorf("the error shows the password: %v", err)
			}
			if name == "refuses" && user == "" && !strings.Contains(err.Error(), "refused") {
				t.Errorf("%v, which does not say what is wrong", err)
			}
		}
	}
}

// TestOpenWithOneMemberDead: two of three will do.
func TestOpenWithOneMemberDead(t *testing.T) {
	t.Parallel()
	c, ns := servers.StartCluster(t, servers.Etcd, 3), locktest.Namespace()
	c.Members()[0].Kill(t)
	ctx, cancel := context.WithTimeout(t.Context(), locktest.Electing)
	defer cancel()
	l, err := fencelock.Open(ctx, "etcd://"+strings.Join(c.Addrs(), ","), &fencelock.Options{Namespace: ns, Logger: locktest.Silent})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	locktest.Unlock(t, locktest.ExpectLock(t, locktest.StartLock(ctx, l, "k"), locktest.Electing))
	if err := l.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// TestIsolation: namespaces are worlds of their own.
func TestIsolation(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.Etcd), locktest.Namespace()
	here := open(t, s.Addr(), ns, time.Minute)
	held := locktest.Lock(t, here, "k")
	for _, other := range []string{ns + "2", ns + "/k", ns + "/locks", ns[:len(ns)-1]} {
		c := locktest.Open(t, "etcd://"+s.Addr()+"/"+other, "", time.Minute)
		if s, err := c.Inspect(t.Context(), "k"); err != nil || s.Held() {
			t.Errorf("%s: Inspect = %+v, %v; want nobody", other, s, err)
		}
		if _, err := c.Evict(t.Context(), "k", ""); !errors.Is(err, fencelock.ErrNotHeld) {
			t.Errorf("%s: Evict = %v, want ErrNotHeld", other, err)
		}
		l, err := c.TryLock(t.Context(), "k")
		if err != nil {
			t.Fatalf("%s: TryLock = %v", other, err)
		}
		locktest.Unlock(t, l)
	}
	locktest.ExpectHeldByAnother(t, open(t, s.Addr(), ns, time.Minute), "k")
	locktest.ExpectHeldByAnother(t, locktest.Open(t, "etcd://"+s.Addr()+"/"+ns, "", time.Minute), "k")
	locktest.Unlock(t, held)
}

// TestExistingClientStaysOpen: Close ends what was made, and not what was brought.
func TestExistingClientStaysOpen(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.Etcd), locktest.Namespace()
	app := raw(t, s.Addr())
	for range 2 {
		b, err := etcd.New(t.Context(), app, &etcd.Options{Namespace: ns})
		if err != nil {
			t.Fatal(err)
		}
		c := locktest.New(t, b, fencelock.DefaultTTL)
		locktest.Lock(t, c, "k") // Close unlocks it
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if left := keysBelow(t, app, ns+"/"); len(left) > 0 { // the lease is revoked, too
			t.Errorf("the application's client works after Close, and finds %v", left)
		}
	}
}
