package fencelock_test

import (
	"context"
	"sync"
	"testing"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
)

// unheard does not answer the first release of a grant.
type unheard struct {
	stub
	asked sync.Map
}

func (u *unheard) Release(_ context.Context, g driver.Grant) error {
	if _, again := u.asked.LoadOrStore(g.AttemptID, true); again {
		return nil
	}
	return driver.ErrUnavailable
}

// Close may come while leases are unlocked, each of which gives the janitor work. That must not end the
// program, as more work for a sync.WaitGroup does while somebody waits for it.
func TestCloseAgainstUnlock(t *testing.T) {
	dead, cancel := context.WithCancel(context.Background())
	cancel()
	for range 100 {
		c := open(t, &unheard{}, nil)
		var leases []*fencelock.Lease
		for range 50 {
			leases = append(leases, lock(t, c, "k"))
		}
		var all sync.WaitGroup
		for _, l := range leases {
			all.Go(func() { _ = l.Unlock(dead) }) // nobody knows, and the janitor asks again
		}
		_ = c.Close() // it may not know either
		all.Wait()
	}
}
