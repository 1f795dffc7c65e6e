package etcd_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// take takes a lock without the core.
func take(t *testing.T, b driver.Backend, key, attemptID string, ttl time.Duration) driver.Grant {
	t.Helper()
	g, err := b.Acquire(t.Context(), driver.Request{Key: key, AttemptID: attemptID, Identity: "host-" + attemptID, Meta: "job of " + attemptID, TTL: ttl, Wait: true})
	if err != nil {
		t.Fatalf("Acquire(%q): %v", key, err)
	}
	return g
}

// queueUp has attempts of clients of their own wait for a lock until the test ends.
func queueUp(t *testing.T, addr, ns, key string, n int, ttl time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	for i := range n {
		b := dial(t, addr, ns)
		waiting.Go(func() {
			_, _ = b.Acquire(ctx, driver.Request{Key: key, AttemptID: "waiter-" + strconv.Itoa(i), TTL: ttl, Wait: true})
		})
	}
	t.Cleanup(func() { cancel(); waiting.Wait() })
}

// TestListHeld lists locks in pages of any length. A lock whose claims do not fit into a page has
// its holder shown once, and so has one whose name begins as another's, or has any character.
func TestListHeld(t *testing.T) {
	t.Parallel()
	const ttl, waiters = time.Minute, 7
	for _, kind := range servers.Etcds() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Shared(t, kind), locktest.Namespace()
			first, second := dial(t, s.Addr(), ns), dial(t, s.Addr(), ns)
			within := dial(t, s.Addr(), ns+"/locks/bb") // a namespace within the other
			take(t, within, "not of ns", "stranger", ttl)
			keys := []string{"a", "b", "b/c", "b/d", "b0", "b*", "b%2F", " ", "..", "ä", "Ä", "b/" + strings.Repeat("x", 500), "z"}
			want := make(map[string]driver.Grant)
			for i, key := range keys {
				want[key] = take(t, []driver.Backend{first, second}[i%2], key, "attempt-"+strconv.Itoa(i), ttl)
			}
			for _, key := range []string{"b/c", "b0", "z"} {
				queueUp(t, s.Addr(), ns, key, waiters, ttl)
				locktest.Eventually(t, locktest.Soon, "they wait", func() bool {
					status, err := first.Inspect(t.Context(), key)
					return err == nil && status.Waiters == waiters
				})
			}
			released := take(t, first, "b/released", "released", ttl)
			if err := first.Release(t.Context(), released); err != nil {
				t.Fatal(err)
			}
			for _, prefix := range []string{"", "b", "b/", "b*", "b%", "ä", "c", "b/c"} {
				var below []string
				for _, key := range keys {
					if strings.HasPrefix(key, prefix) {
						below = append(below, key)
					}
				}
				slices.Sort(below)
				for _, limit := range []int{1, 2, 3, 5, 20, 1000} {
					found := locktest.ListHeld(t, second, prefix, limit)
					if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, below) {
						t.Errorf("ListHeld(%q) in pages of %d: %q, want %q", prefix, limit, got, below)
					}
					for key, s := range found {
						g := want[key]
						left := s.Holders[0].Left
						s.Holders[0].Left = 0
						if h := (driver.Holder{AttemptID: g.AttemptID, Identity: "host-" + g.AttemptID, Meta: "job of " + g.AttemptID, Token: g.Token}); s.Holders[0] != h {
							t.Errorf("%q is held by %+v, want %+v", key, s.Holders[0], h)
						}
						if left <= 0 || left > g.TTL+time.Second {
							t.Errorf("%q has %v left of %v", key, left, g.TTL)
						}
					}
				}
			}
			if _, err := first.ListHeld(t.Context(), "b", "a/1", 10); !errors.Is(err, driver.ErrInvalid) {
				t.Errorf("a cursor of another prefix: %v, want ErrInvalid", err)
			}
		})
	}
}

// TestListHeldWhileLocksChangeHands: a lock that always has a holder is in each list, whoever
// holds it.
func TestListHeldWhileLocksChangeHands(t *testing.T) {
	t.Parallel()
	const ttl = 30 * time.Second
	s, ns := servers.Shared(t, servers.Etcd), locktest.Namespace()
	lister := dial(t, s.Addr(), ns)
	for i := range 20 {
		take(t, lister, "k"+strconv.Itoa(i), "fixed-"+strconv.Itoa(i), ttl)
	}
	// Each waits before the one before it releases, so that there is no time without a holder.
	last := take(t, lister, "k5x", "turn-0", ttl)
	for n := 1; n <= 20; n++ {
		next := make(chan driver.Grant, 1)
		go func() {
			g, err := lister.Acquire(t.Context(), driver.Request{Key: "k5x", AttemptID: "turn-" + strconv.Itoa(n), TTL: ttl, Wait: true})
			if err != nil {
				t.Errorf("Acquire: %v", err)
			}
			next <- g
		}()
		locktest.Eventually(t, locktest.Soon, "it waits", func() bool {
			status, err := lister.Inspect(t.Context(), "k5x")
			return err == nil && status.Waiters == 1
		})
		released := make(chan error, 1)
		go func() { released <- lister.Release(t.Context(), last) }()
		if found := locktest.ListHeld(t, lister, "k", 1+n%4); len(found) != 21 {
			t.Errorf("in list %d there are %d locks of 21", n, len(found))
		}
		if err := <-released; err != nil {
			t.Errorf("Release: %v", err)
		}
		last = <-next
	}
}

// TestListHeldAfterALeaseHasEnded: a claim goes with its lease, and the list shows who is next.
func TestListHeldAfterALeaseHasEnded(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.Etcd), locktest.Namespace()
	holder, next := dial(t, s.Addr(), ns), dial(t, s.Addr(), ns)
	take(t, holder, "k", "holder", time.Minute)
	granted := make(chan driver.Grant, 1)
	go func() {
		g, err := next.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "next", TTL: time.Minute, Wait: true})
		if err != nil {
			t.Errorf("Acquire: %v", err)
		}
		granted <- g
	}()
	locktest.Eventually(t, locktest.Soon, "it waits", func() bool {
		status, err := next.Inspect(t.Context(), "k")
		return err == nil && status.Waiters == 1
	})
	revoke(t, raw(t, s.Addr()), ns)
	g := <-granted
	found := locktest.ListHeld(t, next, "", 10)
	if len(found) != 1 || found["k"].Holders[0].Token != g.Token || found["k"].Holders[0].AttemptID != "next" {
		t.Errorf("the list is %+v, want that next holds k by %d", found, g.Token)
	}
}

// TestEvictOneAttempt: an eviction of the holder hits nobody else, however often it is asked for.
func TestEvictOneAttempt(t *testing.T) {
	t.Parallel()
	const ttl = time.Minute
	for _, kind := range servers.Etcds() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Shared(t, kind), locktest.Namespace()
			first, second := dial(t, s.Addr(), ns), dial(t, s.Addr(), ns)
			lost := make(chan error, 10)
			if _, err := first.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "first", TTL: ttl, Lost: func(why error) { lost <- why }}); err != nil {
				t.Fatal(err)
			}
			next := make(chan driver.Grant, 1)
			go func() {
				g, err := second.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "second", TTL: ttl, Wait: true})
				if err != nil {
					t.Errorf("Acquire: %v", err)
				}
				next <- g
			}()
			locktest.Eventually(t, locktest.Soon, "it waits", func() bool {
				status, err := second.Inspect(t.Context(), "k")
				return err == nil && status.Waiters == 1
			})
			for _, attemptID := range []string{"second", "stranger"} { // one that waits, and one that never was
				if err := second.Evict(t.Context(), "k", attemptID); !errors.Is(err, driver.ErrNotHeld) {
					t.Errorf("Evict(%s) = %v, want ErrNotHeld", attemptID, err)
				}
			}
			if err := second.Evict(t.Context(), "k", "first"); err != nil {
				t.Fatalf("Evict: %v", err)
			}
			select {
			case why := <-lost:
				if !errors.Is(why, driver.ErrEvicted) {
					t.Errorf("the holder is told %v, want ErrEvicted", why)
				}
			case <-time.After(locktest.Soon):
				t.Error("the holder is not told")
			}
			g := <-next
			for range 3 {
				if err := first.Evict(t.Context(), "k", "first"); !errors.Is(err, driver.ErrNotHeld) {
					t.Errorf("Evict of who has gone = %v, want ErrNotHeld", err)
				}
			}
			if r := second.Renew(t.Context(), []driver.Grant{g})[0]; r.Err != nil {
				t.Errorf("the next holder's Renew: %v", r.Err)
			}
			if err := second.Release(t.Context(), g); err != nil {
				t.Errorf("the next holder's Release: %v", err)
			}
			expectNothingLeft(t, raw(t, s.Addr()), ns)
		})
	}
}

// TestStrayName: a name that somebody else has put among the claims of a lock, without a lease, keeps all out. Inspect
// and ListHeld show it, and not the waiter behind it, and Evict removes it.
func TestStrayName(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "x", "somebody else's"} {
		addr, ns := servers.Shared(t, servers.Etcd).Addr(), locktest.Namespace()
		name := ns + "/locks/k/stray"
		admin := raw(t, addr)
		if _, err := admin.Put(t.Context(), name, value); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = admin.Delete(context.WithoutCancel(t.Context()), name) })
		b := dial(t, addr, ns)
		queueUp(t, addr, ns, "k", 1, 5*time.Second)
		locktest.Eventually(t, locktest.Soon, "it waits", func() bool {
			s, err := b.Inspect(t.Context(), "k")
			return err == nil && s.Waiters == 1
		})
		s, err := b.Inspect(t.Context(), "k")
		if err != nil || !s.Held() || s.Holders[0].Left != 0 {
			t.Errorf("%q: Inspect: %+v, %v", value, s, err)
		}
		if all := locktest.ListHeld(t, b, "", 10); !all["k"].Held() || all["k"].Holders[0] != s.Holders[0] {
			t.Errorf("%q: ListHeld: %+v, and Inspect %+v", value, all["k"], s)
		}
		if err := b.Evict(t.Context(), "k", s.Holders[0].AttemptID); err != nil {
			t.Errorf("%q: Evict: %v", value, err)
		}
		if s, err := b.Inspect(t.Context(), "k"); err != nil || !s.Held() || s.Holders[0].AttemptID != "waiter-0" {
			t.Errorf("%q: after Evict: %+v, %v", value, s, err)
		}
	}
}

// TestNamespaceWithinANamespace: what a namespace within another has is listed as nobody's lock, and no Evict ends its
// sessions.
func TestNamespaceWithinANamespace(t *testing.T) {
	t.Parallel()
	addr, ns := servers.Shared(t, servers.Etcd).Addr(), locktest.Namespace()
	outer := dial(t, addr, ns)
	for inner, key := range map[string]string{"/locks/b": "b", "/locks": "leases"} {
		b := dial(t, addr, ns+inner)
		g := take(t, b, "x", "inner", 5*time.Second)
		if all := locktest.ListHeld(t, outer, "", 10); len(all) != 0 {
			t.Errorf("%s: %+v", inner, all)
		}
		if err := outer.Evict(t.Context(), key, ""); !errors.Is(err, driver.ErrRefused) {
			t.Errorf("%s: Evict of %q: %v, want ErrRefused", inner, key, err)
		}
		if r := b.Renew(t.Context(), []driver.Grant{g}); r[0].Err != nil {
			t.Errorf("%s: Renew: %v", inner, r[0].Err)
		}
		if err := b.Release(t.Context(), g); err != nil {
			t.Errorf("%s: Release: %v", inner, err)
		}
	}
}
