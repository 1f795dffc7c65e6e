package locktest

import (
	"context"
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
