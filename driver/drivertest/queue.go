package drivertest

import (
	"context"
	"runtime"
	"slices"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var queueRules = []Rule{{
	Name:     "FirstComeFirstServed",
	Sentence: "Fair: waiters of different clients get the lock in the order in which the server met them.",
	features: driver.Fair,
	check: func(r *fixture) {
		clients := []driver.Backend{r.client(), r.client(), r.client()}
		key := r.key()
		holder, g := clients[0], r.mustLock(clients[0], key)
		var queue []*waiter
		var of []driver.Backend
		for i := range 7 {
			b := clients[(i+1+r.rnd.IntN(2))%len(clients)]
			queue, of = append(queue, r.startWait(b, key)), append(of, b)
			r.waitQueued(holder, key, i+1)
		}
		for i, w := range queue {
			r.mustRelease(holder, g)
			next := r.waitGranted(w, r.slack, "next in the queue")
			for _, later := range queue[i+1:] {
				r.wantWaiting(later, "further back in the queue")
			}
			if i+1 < len(queue) {
				r.wantHeldByOther(holder, key, "asked while others wait")
			}
			holder, g = of[i], next
		}
		r.mustRelease(holder, g)
		r.waitFree(holder, key, r.slack)
	},
}, {
	Name:     "PushIsPrompt",
	Sentence: "Push: a waiter learns of its grant from the server, without polling.",
	features: driver.Push,
	check: func(r *fixture) {
		a, b := r.clients()
		const tries = 25
		var bound, gap time.Duration
		for range 3 { // a busy machine may spoil one series, not all
			var gaps, pairs []time.Duration
			for range tries {
				key := r.key()
				start := time.Now()
				r.mustRelease(b, r.mustLock(b, key))
				pairs = append(pairs, time.Since(start))
				g := r.mustLock(a, key)
				w := r.startWait(b, key)
				r.waitQueued(a, key, 1)
				// Polls must not be in step with the release.
				r.sleepUntil(time.Now().Add(time.Duration(r.rnd.Int64N(int64(r.ttl / 10)))))
				start = time.Now()
				r.mustRelease(a, g)
				g = r.waitGranted(w, r.slack, "released")
				gaps = append(gaps, w.at.Sub(start))
				r.mustRelease(b, g)
			}
			gap, bound = usual(gaps), 10*time.Millisecond+3*usual(pairs)
			if gap <= bound {
				return
			}
		}
		r.Errorf("a hand-off takes %v; with a push it would take less than %v, since Acquire and Release "+
			"of a free key take so little", gap, bound)
	},
}, {
	Name:     "DeadWaiterIsSkipped",
	Sentence: "A waiter of a client that is gone delays those behind it by no more than a TTL.",
	check: func(r *fixture) {
		r.checkDeadWaiter(func(b driver.Backend) { _ = b.Close() })
	},
}, {
	Name:     "CutWaiterIsSkipped",
	Sentence: "A waiter that the server cannot reach delays those behind it by no more than a TTL.",
	hook:     "Partition",
	check: func(r *fixture) {
		r.checkDeadWaiter(func(b driver.Backend) { r.Cleanup(r.h.Partition(r.recorder, b)) })
	},
}}

// checkDeadWaiter kills the first of two waiters, in whichever way, and requires that
// the second gets the lock all the same.
func (r *fixture) checkDeadWaiter(kill func(driver.Backend)) {
	a, b := r.clients()
	dying := r.client()
	key := r.key()
	g := r.mustLock(a, key)
	req := r.request(key)
	req.TTL = r.ttl
	r.startWaitFor(dying, req)
	r.waitQueued(a, key, 1)
	w := r.startWait(b, key)
	r.waitQueued(a, key, 2)
	kill(dying)
	r.mustRelease(a, g)
	r.mustRelease(b, r.waitGranted(w, r.ttl+r.slack, "behind a waiter that died"))
	r.waitFree(b, key, r.ttl+r.slack)
}

// usual is the mean of what remains when the slowest third is left out: the
// machine's hiccups, not the server's ways.
func usual(d []time.Duration) (mean time.Duration) {
	d = slices.Sorted(slices.Values(d))
	d = d[:len(d)*2/3]
	for _, x := range d {
		mean += x / time.Duration(len(d))
	}
	return mean
}

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
		if back.err == nil { // an error is an answer too: its position is gone
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
