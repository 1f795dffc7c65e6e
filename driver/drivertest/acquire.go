package drivertest

import (
	"context"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var exclusionRules = []Rule{{
	Name:     "Exclusion",
	Sentence: "At most one unexpired grant of a key exists at any time.",
	check: func(r *fixture) {
		a, b := r.clients()
		key := r.key()
		g := r.mustLock(a, key)
		r.wantHeldByOther(b, key, "held by another client")
		r.wantHeldByOther(a, key, "held by the same client by another attempt")
		w := r.startWait(b, key)
		r.waitQueued(b, key, 1)
		for range 5 {
			r.wantHeldByOther(b, key, "held, with a waiter")
			r.wantWaiting(w, "held by another")
		}
		r.mustRelease(a, g)
		g = r.waitGranted(w, r.slack, "released")
		r.wantHeldByOther(a, key, "handed to a waiter")
		r.mustRelease(b, g)
	},
}, {
	Name:     "Scramble",
	Sentence: "Of several that ask for a free key at once, at most one gets it.",
	check: func(r *fixture) {
		backends := []driver.Backend{r.client(), r.client(), r.client(), r.client()}
		for range 15 {
			key := r.key()
			grants := make([]*driver.Grant, len(backends))
			var wg sync.WaitGroup
			for i, b := range backends {
				wg.Go(func() {
					if g, err := r.tryLock(b, key); err == nil {
						grants[i] = &g
					}
				})
			}
			wg.Wait()
			winners := 0
			for _, g := range grants {
				if g != nil {
					winners++
				}
			}
			if winners > 1 {
				r.Fatalf("%d of %d clients got the same key", winners, len(backends))
			}
			for i, g := range grants {
				if g != nil {
					r.mustRelease(backends[i], *g)
				}
			}
		}
	},
}}

var tryRules = []Rule{{
	Name: "TryDoesNotWait",
	Sentence: "With Wait false, Acquire does not wait for the holder: it returns a *HeldError at once and leaves " +
		"nothing on the server.",
	check: func(r *fixture) {
		a, b := r.clients()
		key := r.key()
		g := r.mustLock(a, key)
		for range 3 {
			start := time.Now()
			r.wantHeldByOther(b, key, "TryLock of a held key")
			if took := time.Since(start); took > r.slack {
				r.Errorf("ErrHeld took %v", took)
			}
		}
		loser := r.request(key)
		if _, err := r.acquire(r.soon(), b, loser); err == nil {
			r.Errorf("TryLock of a held key was granted")
		}
		if n := r.mustInspect(a, key).Waiters; n > 0 {
			r.Errorf("TryLocks that lost stand in the queue: Inspect counts %d waiters", n)
		}
		r.wantNotHeld(b, driver.Grant{Key: key, AttemptID: loser.AttemptID}, "a TryLock that lost")
		r.mustRelease(a, g)
		r.waitFree(a, key, r.slack)
		g = r.mustLock(a, key) // and it is handed to nobody who has gone away
		w := r.startWait(a, key)
		r.waitQueued(a, key, 1)
		r.wantHeldByOther(b, key, "TryLock of a key with a queue")
		r.mustRelease(a, g)
		r.mustRelease(a, r.waitGranted(w, r.slack, "after a TryLock that lost"))
		r.waitFree(b, key, r.slack)
	},
}}

var retryRules = []Rule{{
	Name: "RetryReturnsSameGrant",
	Sentence: "Acquire is idempotent per attempt: called again while the attempt holds the key, it returns the same " +
		"token, never a second grant and never ErrHeld.",
	check: func(r *fixture) {
		a, b := r.clients()
		for _, wait := range []bool{false, true} {
			key := r.key()
			req := r.request(key)
			req.Wait = wait
			first := r.mustAcquire(a, req)
			req.Retry = true
			for range 3 {
				again, err := r.acquire(r.soon(), a, req)
				if err != nil {
					r.Fatalf("Acquire again by the holder = %v, want its grant", err)
				}
				if again.Token != first.Token {
					r.Errorf("Acquire again by the holder returned token %v, and %v before", again.Token, first.Token)
				}
				r.wantHeld(a, again, "after a retry")
			}
			if s := r.mustInspect(b, key); holder(s).AttemptID != req.AttemptID || holder(s).Token != first.Token || s.Waiters > 0 {
				r.Errorf("after retries Inspect says %+v, want one grant of %s with token %v", s, req.AttemptID, first.Token)
			}
			r.mustRelease(a, first)
			r.waitFree(b, key, r.slack)
			r.mustRelease(b, r.mustLock(b, key)) // one Release has ended it
		}
	},
}, {
	Name:     "RetryKeepsPosition",
	Sentence: "Acquire called again while the attempt waits keeps its position.",
	features: driver.Fair,
	check: func(r *fixture) {
		a, b := r.clients()
		c := r.client()
		for _, overlap := range []bool{false, true} {
			key := r.key()
			g := r.mustLock(a, key)
			first := r.startWait(b, key)
			r.waitQueued(a, key, 1)
			second := r.startWait(c, key)
			r.waitQueued(a, key, 2)
			again := first.req
			again.Retry = true
			var retry *waiter
			if overlap { // the first attempt is still under way
				retry = r.startWaitFor(b, again)
				r.sleepUntil(time.Now().Add(r.ttl / 10))
			}
			r.mustCancel(first)
			if !overlap {
				retry = r.startWaitFor(b, again)
			}
			r.waitQueued(a, key, 2)
			r.mustRelease(a, g)
			g = r.waitGranted(retry, r.slack, "asked again while it waited")
			r.wantWaiting(second, "behind one that asked again")
			r.mustRelease(b, g)
			r.mustRelease(c, r.waitGranted(second, r.slack, "behind one that asked again"))
			r.waitFree(a, key, r.slack)
		}
	},
}, {
	Name:     "ReleasedAttemptStaysOut",
	Sentence: "A packet of an attempt that has been released never grants anything, however late it arrives.",
	check: func(r *fixture) {
		a, b := r.clients()

		key := r.key() // released before it ever asked
		early := r.request(key)
		r.wantNotHeld(a, driver.Grant{Key: key, AttemptID: early.AttemptID}, "an attempt that never asked")
		r.wantStaysOut(a, b, early)

		key = r.key() // released while it held, and a copy of its request was on its way
		held := r.request(key)
		held.Retry = true
		r.mustRelease(a, r.mustAcquire(a, held))
		r.wantStaysOut(a, b, held)

		key = r.key() // released while it waited
		g := r.mustLock(b, key)
		w := r.startWait(a, key)
		r.waitQueued(b, key, 1)
		r.mustCancel(w)
		r.wantNotHeld(a, driver.Grant{Key: key, AttemptID: w.req.AttemptID}, "a waiter")
		if _, err := r.acquire(r.soon(), a, w.req); err == nil {
			r.Errorf("a late packet was granted beside the holder")
		}
		r.mustRelease(b, g)
		r.wantStaysOut(a, b, w.req)
	},
}}

// wantStaysOut sends late packets of a released attempt.
func (r *fixture) wantStaysOut(a, b driver.Backend, req driver.Request) {
	for _, wait := range []bool{false, true} {
		req.Wait = wait
		ctx, cancel := context.WithTimeout(r.Context(), r.ttl/2)
		g, err := r.acquire(ctx, a, req)
		cancel()
		if err == nil {
			r.Fatalf("a packet that came after Release was granted token %v", g.Token)
		}
		if s := r.mustInspect(b, req.Key); !idle(s) {
			r.Errorf("a packet that came after Release left %+v", s)
		}
		r.mustRelease(b, r.mustLock(b, req.Key))
	}
}
