package drivertest

import (
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
