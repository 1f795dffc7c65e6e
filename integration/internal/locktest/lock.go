package locktest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fencelock/fencelock"
)

// Attempt is what became of a call of Lock.
type Attempt struct {
	Lease *fencelock.Lease
	Err   error
	At    time.Time // when it returned
}

// StartLock calls Lock in a goroutine of its own.
func StartLock(ctx context.Context, l fencelock.Locker, key string, opts ...fencelock.LockOption) <-chan Attempt {
	out := make(chan Attempt, 1)
	go func() {
		lease, err := l.Lock(ctx, key, opts...)
		out <- Attempt{lease, err, time.Now()}
	}()
	return out
}

// Outcome waits for a Lock that is under way.
func Outcome(t T, a <-chan Attempt, within time.Duration) Attempt {
	t.Helper()
	select {
	case got := <-a:
		return got
	case <-time.After(within):
		t.Fatalf("Lock did not return within %v", within)
		return Attempt{}
	}
}

// ExpectLock wants it to succeed.
func ExpectLock(t T, a <-chan Attempt, within time.Duration) *fencelock.Lease {
	t.Helper()
	got := Outcome(t, a, within)
	if got.Err != nil {
		t.Fatalf("Lock: %v", got.Err)
	}
	return got.Lease
}

// Lock takes a lock that is free, or will be soon.
func Lock(t T, l fencelock.Locker, key string, opts ...fencelock.LockOption) *fencelock.Lease {
	t.Helper()
	return ExpectLock(t, StartLock(t.Context(), l, key, opts...), Soon)
}

// Unlock wants to have held the lock until then.
func Unlock(t T, l *fencelock.Lease) {
	t.Helper()
	if err := l.Unlock(t.Context()); err != nil {
		t.Fatalf("Unlock: %v", err)
	}
}

// ExpectLost waits for a lease to end, and wants it to be by loss.
func ExpectLost(t T, l *fencelock.Lease, within time.Duration) {
	t.Helper()
	Await(t, within, "the lease is lost", l.Done())
	if err := l.Err(); !errors.Is(err, fencelock.ErrLost) {
		t.Fatalf("Err = %v, want ErrLost", err)
	}
}

// AwaitRenewal waits until a lease is held by a renewal that was sent after some
// moment, and wants it not to be lost meanwhile.
func AwaitRenewal(t T, l *fencelock.Lease, ttl time.Duration, after time.Time) {
	t.Helper()
	trusted := ttl - ttl/10
	Eventually(t, time.Until(after)+ttl, "the lease is renewed", func() bool {
		if err := l.Err(); err != nil {
			t.Fatalf("the lease has ended: %v", err)
		}
		return l.ValidUntil().After(after.Add(trusted))
	})
}

// AwaitWaiters waits until n claims stand behind the holder's. Who asks may have to do
// without a server meanwhile, as after a restart and during an election.
func AwaitWaiters(t T, within time.Duration, c *fencelock.Client, key string, n int) {
	t.Helper()
	Eventually(t, within, fmt.Sprintf("%d wait", n), func() bool {
		s, err := c.Inspect(t.Context(), key)
		if err != nil && !errors.Is(err, fencelock.ErrUnavailable) {
			t.Fatalf("Inspect: %v", err)
		}
		return err == nil && s.Waiters == n
	})
}

// ExpectHeldByAnother has TryLock say so. It may need a while to reach a member
// that can tell.
func ExpectHeldByAnother(t T, c *fencelock.Client, key string) {
	t.Helper()
	Eventually(t, Electing, "TryLock learns who holds the lock", func() bool {
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
