package redis_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestRoundTrips: acquire, release and renewal are one request each.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			p := through(t, servers.Shared(t, kind).Addr())
			c := open(t, p.Addr(), locktest.Namespace(), time.Minute)
			sent := locktest.Tally(p, func(request []byte) bool { return !proxy.Command("PING")(request) })
			expect := func(what string, n int64, do func() error) {
				t.Helper()
				before := sent.Load()
				if err := do(); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
				if got := sent.Load() - before; got != n {
					t.Errorf("%s took %d requests, want %d", what, got, n)
				}
			}
			warm(t, c)
			var l *fencelock.Lease
			expect("Lock", 1, func() (err error) { l, err = c.Lock(t.Context(), "k"); return err })
			// To have more left than there is now, Ensure renews.
			const fresh = 53 * time.Second
			locktest.Eventually(t, locktest.Soon, "the lease is not fresh", func() bool { return time.Until(l.ValidUntil()) < fresh })
			expect("Ensure", 1, func() error { return l.Ensure(t.Context(), fresh) })
			expect("Unlock", 1, func() error { return l.Unlock(t.Context()) })
			for range 3 {
				expect("Lock", 1, func() (err error) { l, err = c.Lock(t.Context(), "k"); return err })
				expect("Unlock", 1, func() error { return l.Unlock(t.Context()) })
				expect("TryLock", 1, func() (err error) { l, err = c.TryLock(t.Context(), "k"); return err })
				expect("a TryLock that loses", 1, func() error { _, _ = c.TryLock(t.Context(), "k"); return nil })
				expect("Unlock", 1, func() error { return l.Unlock(t.Context()) })
			}
		})
	}
}

// warm makes a client's connection, which costs a few requests the first time.
func warm(t *testing.T, c *fencelock.Client) {
	t.Helper()
	if _, err := c.Inspect(t.Context(), "another"); err != nil {
		t.Fatalf("Inspect: %v", err)
	}
}

// TestRenewalIsBatched: many leases are renewed by one request.
func TestRenewalIsBatched(t *testing.T) {
	t.Parallel()
	const leases, together = 128, 64
	p := through(t, servers.Shared(t, servers.Redis).Addr())
	c := open(t, p.Addr(), locktest.Namespace(), 6*time.Second)
	var held []*fencelock.Lease
	for n := range leases {
		held = append(held, locktest.Lock(t, c, fmt.Sprint(n)))
	}
	var renewed []time.Time
	for _, l := range held {
		renewed = append(renewed, l.ValidUntil())
	}
	sent := locktest.Tally(p, scripts)
	locktest.Eventually(t, 2*locktest.Soon, "every lease is renewed", func() bool {
		for i, l := range held {
			if !l.ValidUntil().After(renewed[i]) {
				return false
			}
		}
		return true
	})
	// Those that are due within the same while go together; where the machine was
	// slow to take them, in a few batches more.
	if got := sent.Load(); got < leases/together || got > 6 {
		t.Errorf("%d requests renewed %d leases", got, leases)
	}
	for _, l := range held {
		locktest.Unlock(t, l)
	}
}

// TestHandOffCostsTheSame: what a hand-off takes of requests, the waiter's first
// included, does not grow with the number of those who wait.
func TestHandOffCostsTheSame(t *testing.T) {
	t.Parallel()
	s := servers.Shared(t, servers.Redis)
	var least, most float64
	for _, n := range []int{2, 16, 64, 256} {
		perHandOff, took := drain(t, s.Addr(), n)
		t.Logf("%3d waiting clients: %.2f requests and a push per hand-off; %v each", n, perHandOff, took.Round(time.Microsecond))
		if n == 2 {
			least, most = perHandOff, perHandOff
		}
		least, most = min(least, perHandOff), max(most, perHandOff)
	}
	if most > 3 || most-least > 0.5 {
		t.Errorf("a hand-off takes %.2f to %.2f requests; want the same at any length, 3 at most", least, most)
	}
}

// drain has n clients wait for one lock and take it in turn.
func drain(t *testing.T, addr string, n int) (perHandOff float64, took time.Duration) {
	p := through(t, addr)
	ns := locktest.Namespace()
	clients := make([]*fencelock.Client, n)
	var opening sync.WaitGroup
	few := make(chan struct{}, 16) // so that none waits for its turn longer than Open does
	for i := range clients {
		few <- struct{}{}
		opening.Go(func() {
			clients[i] = openBare(t, p.Addr(), ns)
			<-few
		})
	}
	opening.Wait()
	if t.Failed() {
		t.FailNow()
	}
	holder := open(t, addr, ns, time.Hour) // not through the proxy
	held := locktest.Lock(t, holder, "k")
	for _, c := range clients {
		warm(t, c)
	}

	before, sent, start := p.Counts(), locktest.Tally(p, scripts), time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var draining sync.WaitGroup
	for _, c := range clients {
		draining.Go(func() {
			l, err := c.Lock(ctx, "k")
			if err == nil {
				err = l.Unlock(ctx)
			}
			if err != nil {
				t.Errorf("a waiter: %v", err)
			}
		})
	}
	awaitWaiters(t, holder, "k", n)
	began := time.Now()
	locktest.Unlock(t, held)
	draining.Wait()
	took = time.Since(began) / time.Duration(n)
	counts := p.Counts().Since(before)
	if counts.Pushes != n {
		t.Errorf("%d pushes for %d waiters", counts.Pushes, n)
	}
	// What else there was keeps subscriptions alive, and takes one request in 3 s
	// of each client.
	if others, most := counts.Requests-int(sent.Load()), n*int(1+time.Since(start)/(2*time.Second)); others > most {
		t.Errorf("%d requests of another kind", others)
	}
	var closing sync.WaitGroup
	for _, c := range clients {
		closing.Go(func() {
			if err := c.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	closing.Wait()
	// The last of them hands off to nobody; the holder does, and is not counted.
	return float64(sent.Load()) / float64(n), took
}

// openBare opens a client that the caller closes. It may be called from any
// goroutine.
func openBare(t *testing.T, addr, ns string) *fencelock.Client {
	c, err := fencelock.Open(t.Context(), "redis://"+addr, &fencelock.Options{Namespace: ns, TTL: time.Hour, Logger: locktest.Silent})
	if err != nil {
		t.Errorf("Open: %v", err)
	}
	return c
}
