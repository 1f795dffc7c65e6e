package redis_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// failures counts renewals that failed.
type failures struct{ n atomic.Int32 }

func (f *failures) Observe(_ context.Context, e fencelock.Event) {
	if e.Kind == fencelock.EventRenewFailed {
		f.n.Add(1)
	}
}

// open makes a client whose renewals it watches.
func (f *failures) open(t *testing.T, addr, ns string, ttl time.Duration) *fencelock.Client {
	t.Helper()
	c, err := fencelock.Open(t.Context(), "redis://"+addr, &fencelock.Options{Namespace: ns, TTL: ttl, Observer: f, Logger: locktest.Silent})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// TestIdleConnectionsClosed: a server that closes connections after a second without a
// command is as good as any. Free locks are taken at the first attempt, leases kept
// without a renewal that fails, and who waits goes on waiting.
func TestIdleConnectionsClosed(t *testing.T) {
	t.Parallel()
	const idle = 2500 * time.Millisecond // the server looks once a second or so
	const ttl = 3 * idle                 // so that renewals and confirmations meet dead connections
	s, ns := servers.Start(t, servers.Redis, servers.Args("--timeout", "1")), locktest.Namespace()
	var failed failures
	holder, waiter := failed.open(t, s.Addr(), ns, ttl), failed.open(t, s.Addr(), ns, ttl)
	held := locktest.Lock(t, holder, "held")
	waiting := locktest.StartLock(t.Context(), waiter, "held")

	for round := range 5 {
		time.Sleep(idle)
		var together sync.WaitGroup
		for n := range 8 {
			together.Go(func() {
				lease, err := waiter.TryLock(t.Context(), fmt.Sprint(n))
				if err != nil {
					t.Errorf("round %d: TryLock of a free lock: %v", round, err)
				} else if err := lease.Unlock(t.Context()); err != nil {
					t.Errorf("round %d: Unlock: %v", round, err)
				}
			})
		}
		together.Wait()
	}
	select {
	case a := <-waiting:
		t.Fatalf("the waiter: %v, %v", a.Lease, a.Err)
	default:
	}
	if err := held.Err(); err != nil {
		t.Errorf("the holder: %v", err)
	}
	locktest.Unlock(t, held)
	locktest.Unlock(t, locktest.ExpectLock(t, waiting, locktest.Soon))
	if n := failed.n.Load(); n > 0 {
		t.Errorf("%d renewals failed", n)
	}
}

// TestIdleConnectionBreaksUnderACommand: something on the way has forgotten a connection,
// and nobody can see it before it is used. A request that is lost with it is made again at
// once.
func TestIdleConnectionBreaksUnderACommand(t *testing.T) {
	t.Parallel()
	const idle = 1100 * time.Millisecond
	s, ns := servers.Shared(t, servers.Redis), locktest.Namespace()
	p := through(t, s.Addr())
	var failed failures
	c := failed.open(t, p.Addr(), ns, 4*idle)
	lost := p.LoseRequest(renews, 1)
	lease := locktest.Lock(t, c, "k")
	first := lease.ValidUntil()
	locktest.Await(t, locktest.Soon, "a renewal is lost", lost.Fired())
	locktest.Eventually(t, locktest.Soon, "the lease is renewed", func() bool { return lease.ValidUntil().After(first) })
	if n := failed.n.Load(); n > 0 {
		t.Errorf("%d renewals failed", n)
	}

	dead, cancel := context.WithCancel(t.Context())
	cancel() // so that the core asks once
	for name, lose := range map[string]func(func([]byte) bool, int) *proxy.Fault{"request": p.LoseRequest, "reply": p.LoseReplyTo} {
		lease := locktest.Lock(t, c, name)
		time.Sleep(idle)
		lost := lose(releases, 1)
		err := lease.Unlock(dead)
		locktest.Await(t, locktest.Soon, "a release is lost", lost.Fired())
		switch {
		case name == "request" && err != nil:
			t.Errorf("Unlock, whose request was lost: %v", err)
		case name == "reply" && !errors.Is(err, fencelock.ErrUnknown):
			// The second finds nothing, and does not claim to know why.
			t.Errorf("Unlock, whose reply was lost: %v, want ErrUnknown", err)
		}
	}
	locktest.Unlock(t, lease)
}
