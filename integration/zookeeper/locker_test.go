package zookeeper_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
)

// slack is what a bounded delay may take longer on a machine that is busy.
const slack = 1500 * time.Millisecond

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
}

// startLock calls Lock in a goroutine of its own.
func startLock(ctx context.Context, l fencelock.Locker, key string, opts ...fencelock.LockOption) <-chan attempt {
	out := make(chan attempt, 1)
	go func() {
		lease, err := l.Lock(ctx, key, opts...)
		out <- attempt{lease, err}
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

// expectLost waits for a lease to end, and wants it to be by loss.
func expectLost(t *testing.T, l *fencelock.Lease, within time.Duration) {
	t.Helper()
	select {
	case <-l.Done():
	case <-time.After(within):
		t.Fatalf("the lease is not lost after %v", within)
	}
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

// expectHeldByAnother has TryLock say so. It may need a while to reach a server
// that can tell.
func expectHeldByAnother(t *testing.T, c *fencelock.Client, key string) {
	t.Helper()
	eventually(t, soon, "TryLock learns who holds the lock", func() bool {
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
