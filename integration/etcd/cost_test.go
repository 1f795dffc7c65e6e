package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// proposals is how many writes have gone through Raft, as the server counts them.
func proposals(t *testing.T, s *servers.Server) int {
	t.Helper()
	return locktest.Metric(t, servers.Metrics(t, s), "etcd_server_proposals_applied_total")
}

// aboutLocks matches all requests but those that keep the session alive, which are
// the same whatever is locked.
func aboutLocks(request []byte) bool {
	switch proxy.MethodOf(request) {
	case "/etcdserverpb.KV/Txn":
		return true
	case "/etcdserverpb.KV/Range":
		return looks(request)
	case "/etcdserverpb.Watch/Watch":
		return watches(request)
	}
	return false
}

// TestWrites: acquire and release are one write of Raft each, and one request; what
// changes nothing costs no write.
func TestWrites(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Etcds() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			const times = 10
			s, ns := servers.Start(t, kind), locktest.Namespace()
			p := through(t, s.Addr())
			c, other := open(t, p.Addr(), ns, 10*time.Minute), open(t, s.Addr(), ns, 10*time.Minute)
			warm(t, c)
			warm(t, other)
			sent := locktest.Tally(p, aboutLocks)
			expect := func(what string, writes int, requests int64, do func() error) {
				t.Helper()
				before, sentBefore := proposals(t, s), sent.Load()
				for range times {
					if err := do(); err != nil {
						t.Fatalf("%s: %v", what, err)
					}
				}
				if got := proposals(t, s) - before; got != writes*times {
					t.Errorf("%d × %s: %d writes, want %d each", times, what, got, writes)
				}
				if got := sent.Load() - sentBefore; got != requests*times {
					t.Errorf("%d × %s: %d requests, want %d each", times, what, got, requests)
				}
			}
			var leases []*fencelock.Lease
			take := func(l *fencelock.Lease, err error) error {
				leases = append(leases, l)
				return err
			}
			n := 0
			key := func() string { n++; return fmt.Sprint(n) }
			drop := func() error {
				l := leases[len(leases)-1]
				leases = leases[:len(leases)-1]
				return l.Unlock(t.Context())
			}
			expect("Lock", 1, 1, func() error { return take(c.Lock(t.Context(), key())) })
			expect("Unlock", 1, 1, drop)
			expect("TryLock", 1, 2, func() error { return take(c.TryLock(t.Context(), key())) })
			expect("Unlock", 1, 1, drop)
			held := locktest.Lock(t, other, "k")
			expect("TryLock that loses", 0, 1, func() error {
				if _, err := c.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
					return fmt.Errorf("want ErrHeld, got %w", err)
				}
				return nil
			})
			expect("Inspect", 0, 1, func() error { _, err := c.Inspect(t.Context(), "k"); return err })
			expect("Inspect of a free lock", 0, 1, func() error { _, err := c.Inspect(t.Context(), "free"); return err })
			locktest.Unlock(t, held)
		})
	}
}

// TestRenewal: leases of a client are renewed by one keep-alive, and by no write of
// Raft, however many they are.
func TestRenewal(t *testing.T) {
	t.Parallel()
	const ttl = 3 * time.Second
	s, ns := servers.Start(t, servers.Etcd), locktest.Namespace()
	p := through(t, s.Addr())
	c := open(t, p.Addr(), ns, ttl)
	var held []*fencelock.Lease
	for n := range 50 {
		held = append(held, locktest.Lock(t, c, fmt.Sprint(n)))
	}
	before, kept, checked := proposals(t, s), locktest.Tally(p, keepAlives), locktest.Tally(p, checks)
	const passes = 4
	for range passes {
		began := time.Now()
		for _, l := range held {
			locktest.AwaitRenewal(t, l, ttl, began)
		}
	}
	// The keep-alive of the session and the core renew at about the same time, and need
	// not meet. Leases that were taken one by one are checked in a few batches.
	if n := kept.Load(); n < 1 || n > 4*passes {
		t.Errorf("%d keep-alives renewed 50 leases %d times", n, passes)
	}
	if n := checked.Load(); n < 1 || n > 4*passes {
		t.Errorf("%d requests checked 50 leases %d times", n, passes)
	}
	t.Logf("%d keep-alives and %d checks for %d renewals of 50 leases", kept.Load(), checked.Load(), passes)
	if n := proposals(t, s) - before; n != 0 {
		t.Errorf("renewals took %d writes", n)
	}
	for _, l := range held {
		locktest.Unlock(t, l)
	}
}

// TestHandOffCostsTheSame: what a hand-off takes of writes and requests, the
// waiter's first included, does not grow with the number of those who wait.
func TestHandOffCostsTheSame(t *testing.T) {
	t.Parallel()
	s := servers.Start(t, servers.Etcd)
	for _, n := range []int{2, 8, 32} {
		writes, requests := drain(t, s, n)
		t.Logf("%2d waiting clients: %.2f writes and %.2f requests for each", n, writes, requests)
		if writes != 2 { // one to get in line, and one to unlock
			t.Errorf("%d clients: %.2f writes for each, want 2", n, writes)
		}
		// To claim, to look, to watch, to look again; to look when told; to unlock.
		if requests > 7 {
			t.Errorf("%d clients: %.2f requests for each, want the same with any number, 7 at most", n, requests)
		}
	}
}

// drain has n clients wait for one lock and take it in turn.
func drain(t *testing.T, s *servers.Server, n int) (writes, requests float64) {
	t.Helper()
	p, ns := through(t, s.Addr()), locktest.Namespace()
	holder := open(t, s.Addr(), ns, time.Hour) // not through the proxy
	held := locktest.Lock(t, holder, "k")
	clients := make([]*fencelock.Client, n)
	for i := range clients {
		clients[i] = open(t, p.Addr(), ns, time.Hour)
		warm(t, clients[i])
	}
	before, sent := proposals(t, s), locktest.Tally(p, aboutLocks)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var book locktest.Ledger
	var draining sync.WaitGroup
	for _, c := range clients {
		draining.Go(func() {
			l, err := c.Lock(ctx, "k")
			if err == nil {
				book.Record(t, l)
				err = l.Unlock(ctx)
			}
			if err != nil {
				t.Errorf("a waiter: %v", err)
			}
		})
	}
	awaitWaiters(t, holder, "k", n)
	locktest.Unlock(t, held)
	draining.Wait()
	// The holder's Unlock is one of the writes.
	return float64(proposals(t, s)-before-1) / float64(n), float64(sent.Load()) / float64(n)
}

// TestWaitingIsSilent: one who waits looks once in a third of its TTL, and asks for
// nothing else.
func TestWaitingIsSilent(t *testing.T) {
	t.Parallel()
	const ttl, waiters = 6 * time.Second, 8
	s, ns := servers.Start(t, servers.Etcd), locktest.Namespace()
	p := through(t, s.Addr())
	holder := open(t, s.Addr(), ns, time.Hour) // not through the proxy
	held := locktest.Lock(t, holder, "k")
	var waiting []<-chan locktest.Attempt
	watching := tallyReplies(p, watches)
	for i := range waiters {
		waiting = append(waiting, locktest.StartLock(t.Context(), open(t, p.Addr(), ns, ttl), "k"))
		awaitWaiters(t, holder, "k", i+1)
	}
	locktest.Eventually(t, locktest.Soon, "all watch", func() bool { return watching.Load() >= waiters })
	before, all, looked := proposals(t, s), locktest.Tally(p, aboutLocks), locktest.Tally(p, looks)
	began := time.Now()
	<-time.After(ttl)
	lasted := time.Since(began)
	if n := proposals(t, s) - before; n != 0 {
		t.Errorf("waiting took %d writes", n)
	}
	// The first look may have been just before, and is a little early each time.
	if n, most := looked.Load(), waiters*int64(lasted/(ttl/4)+1); n < waiters || n > most {
		t.Errorf("%d waiters looked %d times in a TTL, want %d at most", waiters, n, most)
	}
	if n := all.Load() - looked.Load(); n != 0 {
		t.Errorf("%d requests that were no looks", n)
	}
	t.Logf("%d waiters looked %d times in %v", waiters, looked.Load(), lasted.Round(time.Millisecond))
	locktest.Unlock(t, held)
	for _, w := range waiting {
		locktest.Unlock(t, locktest.ExpectLock(t, w, locktest.Soon))
	}
}
