package drivertest

import (
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var waitingRules = []Rule{{
	Name: "WaitingIsTold",
	Sentence: "Request.Waiting is called with the first answer that says that the attempt waits, and then at least once in " +
		"half a TTL; never for a request that does not wait.",
	check: func(r *fixture) {
		a, b := r.clients()
		key := r.key()
		g := r.mustLock(a, key)
		req := r.request(key)
		tries := countWaiting(&req)
		if _, err := r.acquire(r.soon(), b, req); err == nil {
			r.Fatalf("two hold the lock")
		}
		if n := tries.Load(); n > 0 {
			r.Errorf("a request that does not wait was told %d times that it waits", n)
		}

		req = r.request(key)
		req.TTL = r.ttl
		told := countWaiting(&req)
		w := r.startWaitFor(b, req)
		// Counted over several: a machine may stall once for longer than half a TTL.
		const times = 6
		if !r.until(times*r.ttl/2+r.slack, func() bool { return told.Load() >= times || w.returned() }) {
			r.Errorf("a waiter was told %d times in %v that it waits, want %d at least", told.Load(), times*r.ttl/2+r.slack, times)
		}
		r.wantWaiting(w, "the holder is alive")
		r.mustCancel(w)
		r.wantNotHeld(b, driver.Grant{Key: key, AttemptID: req.AttemptID}, "a waiter")
		r.mustRelease(a, g)
	},
}, {
	Name:     "SilenceIsNotWaiting",
	Sentence: "Request.Waiting is called for an answer of the server, and for nothing else: not while it is silent.",
	hook:     "Partition",
	check: func(r *fixture) {
		a, b := r.clients()
		key := r.key()
		g := r.mustLock(a, key)
		req := r.request(key)
		req.TTL = r.ttl
		told := countWaiting(&req)
		w := r.startWaitFor(b, req)
		if !r.until(r.slack, func() bool { return told.Load() > 0 }) {
			r.Fatalf("a waiter was not told that it waits")
		}
		heal := r.h.Partition(r.recorder, b)
		r.sleepUntil(time.Now().Add(r.ttl / 2)) // replies that were under way
		before := told.Load()
		w.ended(2 * r.ttl)
		// One reply may have been slower than that. The core asks again after an error.
		if n := told.Load() - before; n > 1 {
			r.Errorf("a waiter that was cut off from the server was told %d times in two TTLs that it waits", n)
		}
		heal()
		r.mustCancel(w)
		r.until(r.slack, func() bool { return b.Release(r.soon(), driver.Grant{Key: key, AttemptID: req.AttemptID}) != nil })
		_ = a.Release(r.soon(), g)
	},
}}

// countWaiting counts the calls of the request's Waiting.
func countWaiting(req *driver.Request) *atomic.Int64 {
	var n atomic.Int64
	req.Waiting = func() { n.Add(1) }
	return &n
}
