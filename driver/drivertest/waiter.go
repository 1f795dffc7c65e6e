package drivertest

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/driver"
)

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
