package drivertest

import (
	"context"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// acquire does what the core does: it asks, and, where the backend does not
// block, asks again when told to.
func (r *fixture) acquire(ctx context.Context, b driver.Backend, req driver.Request) (driver.Grant, error) {
	for {
		g, err := b.Acquire(ctx, req)
		if err == nil {
			r.checkGrant(g, req)
			return g, nil
		}
		var held *driver.HeldError
		if !errors.As(err, &held) || !req.Wait {
			return g, err
		}
		if req.Waiting != nil {
			req.Waiting() // it is the same answer
		}
		again := held.RetryAfter
		if again <= 0 {
			again = 10 * time.Millisecond
		}
		if err := pause(ctx, again); err != nil {
			return driver.Grant{}, err
		}
	}
}

// checkGrant checks what must hold of each grant that is handed out.
func (r *fixture) checkGrant(g driver.Grant, req driver.Request) {
	now := time.Now()
	if g.Key != req.Key || g.AttemptID != req.AttemptID {
		r.Errorf("asked for %s as %s, got a grant of %s for %s", short(req.Key), req.AttemptID, short(g.Key), g.AttemptID)
	}
	switch {
	case r.h.Want.Tokenless:
		if g.Token != 0 {
			r.Errorf("token %d, and Want says that there are none", uint64(g.Token))
		}
	case g.Token == 0 || g.Token > math.MaxInt64:
		r.Errorf("token %d is not from 1 to 1<<63-1", uint64(g.Token))
	}
	if g.TTL < req.TTL {
		r.Errorf("asked for a TTL of %v, got %v", req.TTL, g.TTL)
	}
	if monotonic(now) && !monotonic(g.Start) {
		r.Errorf("Grant.Start %v is no reading of the monotonic clock", g.Start)
	}
	if g.Start.After(now) {
		r.Errorf("Grant.Start is %v in the future", g.Start.Sub(now))
	}
	// This goroutine may have slept since the grant was returned; one short lease
	// is allowed for that.
	if dead := now.Sub(ends(g)); dead > r.ttl {
		r.Errorf("the grant ended %v before Acquire returned it", dead)
	}
}

// monotonic reports whether a time has a reading of the monotonic clock, which
// only its text tells. In a testing/synctest bubble none has.
func monotonic(t time.Time) bool { return strings.Contains(t.String(), " m=") }

// waiter is an Acquire that waits in a goroutine of its own.
type waiter struct {
	req    driver.Request
	cancel context.CancelFunc
	done   chan struct{} // closed when it has returned, with the fields below

	grant driver.Grant
	err   error
	at    time.Time
}

// startWait starts waiting for a key with a long lease.
func (r *fixture) startWait(b driver.Backend, key string) *waiter {
	return r.startWaitFor(b, r.request(key))
}

func (r *fixture) startWaitFor(b driver.Backend, req driver.Request) *waiter {
	req.Wait = true
	ctx, cancel := context.WithCancel(r.Context())
	w := &waiter{req: req, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.grant, w.err = r.acquire(ctx, b, req)
		w.at = time.Now()
	}()
	r.Cleanup(func() { cancel(); w.ended(r.slack) })
	return w
}

// returned reports whether the waiter's call has ended.
func (w *waiter) returned() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// ended waits for the call to end, for at most d.
func (w *waiter) ended(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-w.done:
		return true
	case <-t.C:
		return w.returned()
	}
}

// waitGranted requires that the waiter has the lock within d.
func (r *fixture) waitGranted(w *waiter, d time.Duration, why string) driver.Grant {
	if !w.ended(d) {
		r.Fatalf("%s: a waiter has no answer after %v", why, d)
	}
	if w.err != nil {
		r.Fatalf("%s: a waiter got %v, want the lock", why, w.err)
	}
	return w.grant
}

// wantWaiting requires that the waiter is still in the queue.
func (r *fixture) wantWaiting(w *waiter, why string) {
	if w.returned() {
		r.Fatalf("%s: a waiter returned with token %v, error %v", why, w.grant.Token, w.err)
	}
}

// mustCancel makes the waiter's call end by its context.
func (r *fixture) mustCancel(w *waiter) {
	w.cancel()
	if !w.ended(r.slack) {
		r.Fatalf("a waiting Acquire did not return within %v after its context ended", r.slack)
	}
}

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
