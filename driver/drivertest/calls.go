package drivertest

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// calls lists the methods of a client that ask the server, each ready to be
// called on the key of g. Release and Evict come last: they may succeed. Attempted is told
// of each attempt to lock, which is to be released since it may have left a claim.
func calls(b driver.Backend, g driver.Grant, attempted func(driver.Grant)) func(yield func(string, func(context.Context) error) bool) {
	acquire := func(wait bool) func(context.Context) error {
		return func(ctx context.Context) error {
			attemptID := newAttemptID()
			attempted(driver.Grant{Key: g.Key, AttemptID: attemptID})
			_, err := b.Acquire(ctx, driver.Request{Key: g.Key, AttemptID: attemptID, TTL: g.TTL, Wait: wait})
			return err
		}
	}
	list := []struct {
		name string
		call func(context.Context) error
	}{
		{"Acquire", acquire(false)},
		{"Acquire", acquire(true)},
		{"Inspect", func(ctx context.Context) error { _, err := b.Inspect(ctx, g.Key); return err }},
		{"ListHeld", func(ctx context.Context) error { _, err := b.ListHeld(ctx, g.Key, "", 10); return err }},
		{"Renew", func(ctx context.Context) error {
			if out := b.Renew(ctx, []driver.Grant{g}); len(out) == 1 {
				return out[0].Err
			}
			return nil
		}},
		{"Release", func(ctx context.Context) error { return b.Release(ctx, g) }},
		{"Evict", func(ctx context.Context) error { return b.Evict(ctx, g.Key, "") }},
	}
	return func(yield func(string, func(context.Context) error) bool) {
		for _, c := range list {
			if !yield(c.name, c.call) {
				return
			}
		}
	}
}

// bounded calls f and reports whether it returned in time. A call that does not
// is left behind.
func (r *fixture) bounded(f func() error) (error, bool) {
	done := make(chan error, 1)
	go func() { done <- f() }()
	t := time.NewTimer(r.slack)
	defer t.Stop()
	select {
	case err := <-done:
		return err, true
	case <-t.C:
		return nil, false
	}
}
