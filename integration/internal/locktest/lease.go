package locktest

import (
	"errors"
	"time"

	"github.com/fencelock/fencelock"
)

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
