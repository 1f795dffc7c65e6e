package locktest

import (
	"time"

	"github.com/fencelock/fencelock"
)

// Survivors are those to whom a disaster, which has begun, must not matter: one who
// holds a lock, one who waits for it, and another.
type Survivors struct {
	Held    *fencelock.Lease
	Waiting <-chan Attempt
	Other   *fencelock.Client
	TTL     time.Duration // of the holder and the waiter
	Book    *Ledger
}

// HandOver wants the other to be told that the lock is held, the lease to be renewed
// after the disaster began, and the waiter to keep its place: it gets the lock when that
// is unlocked, by the look that it takes once in a third of its TTL at the latest.
func (s Survivors) HandOver(t T, began time.Time) {
	t.Helper()
	ExpectHeldByAnother(t, s.Other, s.Held.Key())
	AwaitRenewal(t, s.Held, s.TTL, began)
	t.Logf("renewed after %v", time.Since(began).Round(time.Millisecond))
	select {
	case a := <-s.Waiting:
		t.Fatalf("the waiter has %v, %v beside the holder", a.Lease, a.Err)
	default:
	}
	Unlock(t, s.Held)
	unlocked := time.Now()
	next := ExpectLock(t, s.Waiting, s.TTL/3+Slack)
	t.Logf("handed over after %v", time.Since(unlocked).Round(time.Millisecond))
	s.Book.Enter(t, next)
	Unlock(t, next)
}
