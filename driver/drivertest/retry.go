package drivertest

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var retryRules = []Rule{{
	Name: "RetryReturnsSameGrant",
	Sentence: "Acquire is idempotent per attempt: called again while the attempt holds the key, it returns the same " +
		"token, never a second grant and never ErrHeld.",
	check: func(r *rig) {
		a, b := r.clients()
		for _, wait := range []bool{false, true} {
			key := r.key()
			req := r.request(key)
			req.Wait = wait
			first := r.take(a, req)
			req.Retry = true
			for range 3 {
				again, err := r.acquire(r.soon(), a, req)
				if err != nil {
					r.Fatalf("Acquire again by the holder = %v, want its grant", err)
				}
				if again.Token != first.Token {
					r.Errorf("Acquire again by the holder returned token %v, and %v before", again.Token, first.Token)
				}
				r.held(a, again, "after a retry")
			}
			if s := r.inspect(b, key); holder(s).AttemptID != req.AttemptID || holder(s).Token != first.Token || s.Waiters > 0 {
				r.Errorf("after retries Inspect says %+v, want one grant of %s with token %v", s, req.AttemptID, first.Token)
			}
			r.release(a, first)
			r.free(b, key, r.slack)
			r.release(b, r.lock(b, key)) // one Release has ended it
		}
	},
}, {
	Name:     "RetryKeepsPlace",
	Sentence: "Acquire called again while the attempt waits keeps its place.",
	features: driver.Fair,
	check: func(r *rig) {
		a, b := r.clients()
		c := r.client()
		for _, overlap := range []bool{false, true} {
			key := r.key()
			g := r.lock(a, key)
			first := r.wait(b, key)
			r.queued(a, key, 1)
			second := r.wait(c, key)
			r.queued(a, key, 2)
			again := first.req
			again.Retry = true
			var retry *waiter
			if overlap { // the first attempt is still under way
				retry = r.waitFor(b, again)
				r.passed(time.Now().Add(r.ttl / 10))
			}
			r.abandon(first)
			if !overlap {
				retry = r.waitFor(b, again)
			}
			r.queued(a, key, 2)
			r.release(a, g)
			g = r.granted(retry, r.slack, "asked again while it waited")
			r.waiting(second, "behind one that asked again")
			r.release(b, g)
			r.release(c, r.granted(second, r.slack, "behind one that asked again"))
			r.free(a, key, r.slack)
		}
	},
}, {
	Name:     "ReleasedAttemptStaysOut",
	Sentence: "A packet of an attempt that has been released never grants anything, however late it arrives.",
	check: func(r *rig) {
		a, b := r.clients()

		key := r.key() // released before it ever asked
		early := r.request(key)
		r.nothing(a, driver.Grant{Key: key, AttemptID: early.AttemptID}, "an owner that never asked")
		r.staysOut(a, b, early)

		key = r.key() // released while it held, and a copy of its request was on its way
		held := r.request(key)
		held.Retry = true
		r.release(a, r.take(a, held))
		r.staysOut(a, b, held)

		key = r.key() // released while it waited
		g := r.lock(b, key)
		w := r.wait(a, key)
		r.queued(b, key, 1)
		r.abandon(w)
		r.nothing(a, driver.Grant{Key: key, AttemptID: w.req.AttemptID}, "a waiter")
		if _, err := r.acquire(r.soon(), a, w.req); err == nil {
			r.Errorf("a late packet was granted beside the holder")
		}
		r.release(b, g)
		r.staysOut(a, b, w.req)
	},
}}

// staysOut sends late packets of a released owner.
func (r *rig) staysOut(a, b driver.Backend, req driver.Request) {
	for _, wait := range []bool{false, true} {
		req.Wait = wait
		ctx, cancel := context.WithTimeout(r.Context(), r.ttl/2)
		g, err := r.acquire(ctx, a, req)
		cancel()
		if err == nil {
			r.Fatalf("a packet that came after Release was granted token %v", g.Token)
		}
		if s := r.inspect(b, req.Key); !idle(s) {
			r.Errorf("a packet that came after Release left %+v", s)
		}
		r.release(b, r.lock(b, req.Key))
	}
}
