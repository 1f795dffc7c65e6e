package drivertest

import (
	"context"
	"runtime"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var cancelRules = []Rule{{
	Name:     "ReleasedWaiterLeavesQueue",
	Sentence: "A waiting attempt that is released does not delay those behind it.",
	check: func(r *fixture) {
		a, b := r.clients()
		key := r.key()
		g := r.mustLock(a, key)
		first := r.startWait(b, key)
		r.waitQueued(a, key, 1)
		second := r.startWait(a, key)
		r.waitQueued(a, key, 2)
		r.mustCancel(first)
		r.wantNotHeld(b, driver.Grant{Key: key, AttemptID: first.req.AttemptID}, "a waiter")
		r.waitQueued(a, key, 1)
		r.mustRelease(a, g)
		r.mustRelease(a, r.waitGranted(second, r.slack, "behind a waiter that was released"))
		r.waitFree(b, key, r.slack)
	},
}, {
	Name: "CancelRacesGrant",
	Sentence: "Whether a wait ends by its context or by its grant, or by both at once, Release leaves nothing of it, " +
		"and the next waiter gets the lock.",
	check: func(r *fixture) {
		a, b := r.clients()
		c := r.client()
		const rounds = 40
		window := time.Millisecond
		cancelled := 0
		for i := range rounds {
			key := r.key()
			g := r.mustLock(a, key)
			first := r.startWait(b, key)
			r.waitQueued(a, key, 1)
			second := r.startWait(c, key)
			r.waitQueued(a, key, 2)
			early := time.Duration(r.rnd.Int64N(int64(2 * window)))
			late := time.Duration(r.rnd.Int64N(int64(2 * time.Millisecond)))
			cleaned := make(chan struct{})
			go func() {
				defer close(cleaned)
				lag(r.Context(), early)
				first.cancel()
				if first.ended(r.slack) { // whatever it got, it is given back
					_ = b.Release(r.soon(), driver.Grant{Key: key, AttemptID: first.req.AttemptID})
				}
			}()
			lag(r.Context(), late)
			r.mustRelease(a, g)
			<-cleaned
			if !first.returned() {
				r.Fatalf("round %d: a cancelled waiter did not return", i)
			}
			// Move the cancel towards the hand-off, from whichever side.
			if first.err == nil {
				window = max(window*4/5, time.Microsecond)
			} else {
				window = window * 5 / 4
				cancelled++
			}
			r.mustRelease(c, r.waitGranted(second, r.slack, "behind a waiter that was cancelled"))
			r.waitFree(a, key, r.slack)
			if r.Failed() {
				r.Fatalf("round %d: cancelled %v and released %v after the start; waiter: %v", i, early, late, first.err)
			}
		}
		r.Logf("%d of %d waits ended by their context", cancelled, rounds)
	},
}, {
	Name:     "GrantIsAlive",
	Sentence: "A claim whose waiter stopped asking is not handed to a waiter that asks again later: a grant is alive when Acquire returns it.",
	check: func(r *fixture) {
		a, b := r.clients()
		key := r.key()
		g := r.mustLock(a, key)
		req := r.request(key)
		req.TTL = r.ttl
		sleeper := r.startWaitFor(b, req)
		r.waitQueued(a, key, 1)
		r.mustCancel(sleeper) // and no Release: it means to come back
		r.mustRelease(a, g)
		next := r.waitGranted(r.startWait(a, key), 2*r.ttl+r.slack, "after a waiter that stopped asking")
		if sleeper.err == nil { // it was granted before it could be cancelled
			r.wantLost(b, sleeper.grant, "a grant that ran out")
		}

		req.Retry = true
		if g, err := r.acquire(r.soon(), b, req); err == nil {
			r.Fatalf("a waiter that came back was granted token %v; the holder has %v", g.Token, next.Token)
		}
		r.wantHeld(a, next, "a waiter came back")
		back := r.startWaitFor(b, req)
		r.sleepUntil(time.Now().Add(r.ttl / 4))
		r.mustRelease(a, next)
		if !back.ended(r.slack) {
			r.Fatalf("a waiter that came back has no answer")
		}
		if back.err == nil { // an error is an answer too: its place is gone
			if r.fell(uint64(next.Token), uint64(back.grant.Token)) {
				r.Errorf("a waiter that came back got token %v after %v had been granted", back.grant.Token, next.Token)
			}
			_ = b.Release(r.soon(), back.grant)
		}
		r.waitFree(a, key, r.ttl+r.slack)
	},
}}

// lag waits about d. What is too short for a timer is spent in letting others
// run; in a bubble, where no time passes so, that shuffles the order all the same.
func lag(ctx context.Context, d time.Duration) {
	if d >= 100*time.Microsecond {
		_ = pause(ctx, d)
		return
	}
	for range d / (2 * time.Microsecond) {
		runtime.Gosched()
	}
}
