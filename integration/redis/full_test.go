package redis_test

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// fullWorld is two clients of a server that becomes full: it refuses whatever may take
// more memory.
type fullWorld struct {
	t    *testing.T
	ctx  context.Context
	b, c driver.Backend
}

func (w *fullWorld) acquire(b driver.Backend, key, attempt string, wait bool, ttl time.Duration) (driver.Grant, error) {
	return b.Acquire(w.ctx, driver.Request{Key: key, AttemptID: attempt, TTL: ttl, Wait: wait})
}

func (w *fullWorld) lock(key, attempt string, ttl time.Duration) driver.Grant {
	w.t.Helper()
	g, err := w.acquire(w.b, key, attempt, false, ttl)
	if err != nil {
		w.t.Fatalf("Acquire: %v", err)
	}
	return g
}

type granted struct {
	driver.Grant
	err error
}

// wait has the other client wait for a key.
func (w *fullWorld) wait(key, attempt string, ttl time.Duration) <-chan granted {
	w.t.Helper()
	before := w.inspect(key).Waiters
	out := make(chan granted, 1)
	go func() {
		g, err := w.acquire(w.c, key, attempt, true, ttl)
		out <- granted{g, err}
	}()
	locktest.Eventually(w.t, locktest.Soon, "it waits", func() bool { return w.inspect(key).Waiters > before })
	return out
}

func (w *fullWorld) inspect(key string) driver.Status {
	w.t.Helper()
	s, err := w.b.Inspect(w.ctx, key)
	if err != nil {
		w.t.Fatalf("Inspect: %v", err)
	}
	return s
}

func (w *fullWorld) expect(what string, err error) {
	w.t.Helper()
	if err != nil {
		w.t.Errorf("%s: %v", what, err)
	}
}

func (w *fullWorld) expectGrant(what string, from <-chan granted, after driver.Grant) driver.Grant {
	w.t.Helper()
	select {
	case g := <-from:
		if g.err != nil || g.Token <= after.Token {
			w.t.Errorf("%s: token %v after %v, %v", what, g.Token, after.Token, g.err)
		}
		return g.Grant
	case <-time.After(3 * locktest.Soon):
		w.t.Fatalf("%s: not granted", what)
		return driver.Grant{}
	}
}

// TestFullServer: on a server that has no memory left an attempt that holds a lock, or waits,
// keeps it, can give it up, and can be evicted; a new one is refused.
func TestFullServer(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Start(t, kind), locktest.Namespace()
			admin := raw(t, s.Addr())
			ctx, cancel := context.WithTimeout(t.Context(), 12*locktest.Soon)
			defer cancel()
			w := &fullWorld{t: t, ctx: ctx, b: dial(t, s.Addr(), ns), c: dial(t, s.Addr(), ns)}
			const long, short = time.Minute, 2 * time.Second

			alone, awaited := w.lock("alone", "o1", long), w.lock("awaited", "o2", long)
			next := w.wait("awaited", "w2", short)
			late, lateAwaited := w.lock("late", "o3", long), w.lock("late, awaited", "o4", long)
			afterLate := w.wait("late, awaited", "w4", long)
			w.lock("evicted", "o5", long)
			evictedAwaited := w.lock("evicted, awaited", "o6", long)
			afterEvicted := w.wait("evicted, awaited", "w6", long)
			dead := w.lock("dead", "o7", 1500*time.Millisecond)
			afterDead := w.wait("dead", "w7", long)
			w.lock("left", "o8", long)
			gaveUp, giveUp := context.WithCancel(ctx)
			defer giveUp()
			go func() {
				_, _ = w.c.Acquire(gaveUp, driver.Request{Key: "left", AttemptID: "w8", TTL: long, Wait: true})
			}()
			locktest.Eventually(t, locktest.Soon, "it waits", func() bool { return w.inspect("left").Waiters == 1 })

			set(t, admin, []string{"maxmemory", "1"})
			full := time.Now()
			if err := admin.Set(ctx, "x", "y", 0).Err(); err == nil {
				t.Fatal("the server is not full")
			}

			// Open works, or says that it would; Redis 8.6 refuses SUBSCRIBE.
			another, err := redis.Open(ctx, &url.URL{Scheme: "redis", Host: s.Addr(), RawQuery: "namespace=" + ns}, driver.OpenOptions{})
			switch {
			case err == nil:
				w.expect("Close", another.Close())
			case !errors.Is(err, driver.ErrUnavailable) || !errors.Is(err, driver.ErrRefused):
				t.Errorf("Open: %v; want it to succeed, or to be refused for now", err)
			}

			// Whoever comes is refused, clearly, and leaves nothing.
			refused := func(what string, req driver.Request) {
				t.Helper()
				_, err := w.b.Acquire(ctx, req)
				if !errors.Is(err, driver.ErrUnavailable) || !errors.Is(err, driver.ErrRefused) {
					t.Errorf("%s: %v; want it refused, for now", what, err)
				}
			}
			refused("TryLock of a free lock", driver.Request{Key: "free", AttemptID: "n1", TTL: long})
			refused("Lock of a free lock", driver.Request{Key: "free", AttemptID: "n2", TTL: long, Wait: true})
			refused("the same, again", driver.Request{Key: "free", AttemptID: "n2", TTL: long, Wait: true, Retry: true})
			refused("Lock of a held lock", driver.Request{Key: "alone", AttemptID: "n3", TTL: long, Wait: true})
			if w.inspect("free").Held() || w.inspect("alone").Waiters != 0 {
				t.Error("what was refused has left something")
			}
			if _, err := w.acquire(w.b, "alone", "n4", false, long); !errors.Is(err, driver.ErrHeld) {
				t.Errorf("TryLock of a held lock: %v, want ErrHeld", err)
			}

			// Whoever holds keeps it, also when asking again because an answer was lost.
			for i, r := range w.b.Renew(ctx, []driver.Grant{alone, awaited, late, lateAwaited}) {
				if r.Err != nil {
					t.Errorf("Renew, grant %d: %v", i, r.Err)
				}
			}
			for _, g := range []driver.Grant{alone, awaited} {
				again, err := w.b.Acquire(ctx, driver.Request{Key: g.Key, AttemptID: g.AttemptID, TTL: long, Wait: true, Retry: true})
				if err != nil || again.Token != g.Token {
					t.Errorf("asked again by %q: %v, %v; want the same grant", g.AttemptID, again.Token, err)
				}
			}

			// Releases of all kinds.
			w.expect("Release", w.b.Release(ctx, alone))
			w.expect("Release that leaves a tombstone", w.b.Release(ctx, driver.Grant{Key: late.Key, AttemptID: late.AttemptID}))
			if err := w.b.Release(ctx, driver.Grant{Key: late.Key, AttemptID: late.AttemptID}); !errors.Is(err, driver.ErrNotHeld) {
				t.Errorf("the second Release: %v, want ErrNotHeld", err)
			}
			if _, err := w.b.Acquire(ctx, driver.Request{Key: late.Key, AttemptID: late.AttemptID, TTL: long, Retry: true}); err == nil || errors.Is(err, driver.ErrRefused) {
				t.Errorf("a late packet of an attempt that was released: %v; want it kept out by its tombstone", err)
			}
			w.expect("Release to a waiter that leaves a tombstone", w.b.Release(ctx, driver.Grant{Key: lateAwaited.Key, AttemptID: lateAwaited.AttemptID}))
			w.expectGrant("the waiter behind it", afterLate, lateAwaited)
			giveUp()
			if err := w.c.Release(ctx, driver.Grant{Key: "left", AttemptID: "w8"}); !errors.Is(err, driver.ErrNotHeld) {
				t.Errorf("Release of a waiter: %v, want ErrNotHeld", err)
			}
			if n := w.inspect("left").Waiters; n != 0 {
				t.Errorf("%d wait", n)
			}

			// Evictions, and a holder that died.
			w.expect("Evict", w.b.Evict(ctx, "evicted", ""))
			w.expect("Evict, awaited", w.b.Evict(ctx, "evicted, awaited", ""))
			w.expectGrant("the waiter behind it", afterEvicted, evictedAwaited)
			w.expectGrant("the waiter behind the dead", afterDead, dead)

			// Who waits keeps its position beyond its TTL, and gets the lock.
			time.Sleep(time.Until(full.Add(2 * short)))
			if n := w.inspect("awaited").Waiters; n != 1 {
				t.Errorf("%d wait after two TTLs; want the one", n)
			}
			w.expect("Release to a waiter", w.b.Release(ctx, awaited))
			w.expectGrant("the waiter", next, awaited)
		})
	}
}
