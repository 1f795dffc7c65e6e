package drivertest

import (
	"context"
	"runtime"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var cancelRules = []Rule{{
	Name:     "ReleasedWaiterLeavesQueue",
	Sentence: "A waiting owner that is released does not delay those behind it.",
	check: func(r *rig) {
		a, b := r.clients()
		key := r.key()
		g := r.lock(a, key)
		first := r.wait(b, key)
		r.queued(a, key, 1)
		second := r.wait(a, key)
		r.queued(a, key, 2)
		r.abandon(first)
		r.nothing(b, driver.Grant{Key: key, AttemptID: first.req.AttemptID}, "a waiter")
		r.queued(a, key, 1)
		r.release(a, g)
		r.release(a, r.granted(second, r.slack, "behind a waiter that was released"))
		r.free(b, key, r.slack)
	},
}, {
	Name: "CancelRacesGrant",
	Sentence: "Whether a wait ends by its context or by its grant, or by both at once, Release leaves nothing of it, " +
		"and the next waiter gets the lock.",
	check: func(r *rig) {
		a, b := r.clients()
		c := r.client()
		const rounds = 40
		window := time.Millisecond
		cancelled := 0
		for i := range rounds {
			key := r.key()
			g := r.lock(a, key)
			first := r.wait(b, key)
			r.queued(a, key, 1)
			second := r.wait(c, key)
			r.queued(a, key, 2)
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
			r.release(a, g)
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
			r.release(c, r.granted(second, r.slack, "behind a waiter that was cancelled"))
			r.free(a, key, r.slack)
			if r.Failed() {
				r.Fatalf("round %d: cancelled %v and released %v after the start; waiter: %v", i, early, late, first.err)
			}
		}
		r.Logf("%d of %d waits ended by their context", cancelled, rounds)
	},
}, {
	Name:     "GrantIsAlive",
	Sentence: "A claim whose waiter stopped asking is not handed to a waiter that asks again later: a grant is alive when Acquire returns it.",
	check: func(r *rig) {
		a, b := r.clients()
		key := r.key()
		g := r.lock(a, key)
		req := r.request(key)
		req.TTL = r.ttl
		sleeper := r.waitFor(b, req)
		r.queued(a, key, 1)
		r.abandon(sleeper) // and no Release: it means to come back
		r.release(a, g)
		next := r.granted(r.wait(a, key), 2*r.ttl+r.slack, "after a waiter that stopped asking")
		if sleeper.err == nil { // it was granted before it could be cancelled
			r.lost(b, sleeper.grant, "a grant that ran out")
		}

		req.Retry = true
		if g, err := r.acquire(r.soon(), b, req); err == nil {
			r.Fatalf("a waiter that came back was granted token %v; the holder has %v", g.Token, next.Token)
		}
		r.held(a, next, "a waiter came back")
		back := r.waitFor(b, req)
		r.passed(time.Now().Add(r.ttl / 4))
		r.release(a, next)
		if !back.ended(r.slack) {
			r.Fatalf("a waiter that came back has no answer")
		}
		if back.err == nil { // an error is an answer too: its place is gone
			if r.fell(uint64(next.Token), uint64(back.grant.Token)) {
				r.Errorf("a waiter that came back got token %v after %v had been granted", back.grant.Token, next.Token)
			}
			_ = b.Release(r.soon(), back.grant)
		}
		r.free(a, key, r.ttl+r.slack)
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
