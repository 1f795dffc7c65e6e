package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
)

// soon is longer than anything takes here that nothing delays, on a machine that
// is busy. Where a test tells a delay by it, the delay is several times as long.
const soon = 5 * time.Second

// slack is what a bounded delay may take longer on a machine that is busy.
const slack = 1500 * time.Millisecond

// electing is what an election, and the clients' way to the new leader, take at
// most: half a second each, by the servers' settings, and then again as much.
const electing = 3 * soon

var silent = slog.New(slog.DiscardHandler)

// open makes a client for the servers, or the proxies, at addrs.
func open(t *testing.T, addrs, ns string, ttl time.Duration) *fencelock.Client {
	t.Helper()
	return openURL(t, "etcd://"+addrs, ns, ttl)
}

func openURL(t *testing.T, u, ns string, ttl time.Duration) *fencelock.Client {
	t.Helper()
	c, err := fencelock.Open(t.Context(), u, &fencelock.Options{Namespace: ns, TTL: ttl, Logger: silent})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

// warm has a client make its session for a TTL, which costs a few requests the
// first time.
func warm(t *testing.T, c *fencelock.Client, opts ...fencelock.LockOption) {
	t.Helper()
	unlock(t, lock(t, c, "another", opts...))
}

// lock takes a lock that is free, or will be soon.
func lock(t *testing.T, l fencelock.Locker, key string, opts ...fencelock.LockOption) *fencelock.Lease {
	t.Helper()
	return expectLock(t, startLock(t.Context(), l, key, opts...), soon)
}

func unlock(t *testing.T, l *fencelock.Lease) {
	t.Helper()
	if err := l.Unlock(t.Context()); err != nil {
		t.Fatalf("Unlock: %v", err)
	}
}

// attempt is what became of a call of Lock.
type attempt struct {
	lease *fencelock.Lease
	err   error
	at    time.Time // when it returned
}

// startLock calls Lock in a goroutine of its own.
func startLock(ctx context.Context, l fencelock.Locker, key string, opts ...fencelock.LockOption) <-chan attempt {
	out := make(chan attempt, 1)
	go func() {
		lease, err := l.Lock(ctx, key, opts...)
		out <- attempt{lease, err, time.Now()}
	}()
	return out
}

// outcome waits for a Lock that is under way.
func outcome(t *testing.T, a <-chan attempt, within time.Duration) attempt {
	t.Helper()
	select {
	case got := <-a:
		return got
	case <-time.After(within):
		t.Fatalf("Lock did not return within %v", within)
		return attempt{}
	}
}

// expectLock wants it to succeed.
func expectLock(t *testing.T, a <-chan attempt, within time.Duration) *fencelock.Lease {
	t.Helper()
	got := outcome(t, a, within)
	if got.err != nil {
		t.Fatalf("Lock: %v", got.err)
	}
	return got.lease
}

// await waits for a channel to be closed: a fault that happens, a lease that ends.
func await(t *testing.T, what string, within time.Duration, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(within):
		t.Fatalf("not within %v: %s", within, what)
	}
}

// awaitWaiters waits until n claims stand behind the holder's.
func awaitWaiters(t *testing.T, c *fencelock.Client, key string, n int) {
	t.Helper()
	eventually(t, electing, fmt.Sprintf("%d wait", n), func() bool {
		s, err := c.Inspect(t.Context(), key)
		if err != nil && !errors.Is(err, fencelock.ErrUnavailable) { // as during an election
			t.Fatalf("Inspect: %v", err)
		}
		return err == nil && s.Waiters == n
	})
}

// expectLost waits for a lease to end, and wants it to be by loss.
func expectLost(t *testing.T, l *fencelock.Lease, within time.Duration) {
	t.Helper()
	await(t, "the lease is lost", within, l.Done())
	if err := l.Err(); !errors.Is(err, fencelock.ErrLost) {
		t.Fatalf("Err = %v, want ErrLost", err)
	}
}

// awaitRenewal waits until a lease is held by a renewal that was sent after some
// moment, and wants it not to be lost meanwhile.
func awaitRenewal(t *testing.T, l *fencelock.Lease, ttl time.Duration, after time.Time) {
	t.Helper()
	trusted := ttl - ttl/10
	eventually(t, time.Until(after)+ttl, "the lease is renewed", func() bool {
		if err := l.Err(); err != nil {
			t.Fatalf("the lease has ended: %v", err)
		}
		return l.ValidUntil().After(after.Add(trusted))
	})
}

// expectHeldByAnother has TryLock say so. It may need a while to reach a member
// that can tell.
func expectHeldByAnother(t *testing.T, c *fencelock.Client, key string) {
	t.Helper()
	eventually(t, electing, "TryLock learns who holds the lock", func() bool {
		l, err := c.TryLock(t.Context(), key)
		if err == nil {
			t.Fatalf("TryLock of a lock that is held: token %v", l.Token())
		}
		if !errors.Is(err, fencelock.ErrHeld) && !errors.Is(err, fencelock.ErrUnavailable) {
			t.Fatalf("TryLock = %v, want ErrHeld", err)
		}
		return errors.Is(err, fencelock.ErrHeld)
	})
}
