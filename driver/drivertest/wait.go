package drivertest

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var waitRules = []Rule{{
	Name:     "WaitOutlivesTTL",
	Sentence: "Acquire may wait for longer than any TTL, keeping its own position alive.",
	check: func(r *fixture) {
		a, b := r.clients()
		key := r.key()
		g := r.mustLock(a, key)
		req := r.request(key)
		req.TTL = r.ttl
		w := r.startWaitFor(b, req)
		r.waitQueued(a, key, 1)
		for end := time.Now().Add(3 * r.ttl); time.Now().Before(end); {
			r.wantWaiting(w, "the holder is alive")
			r.wantHeld(a, g, "with a waiter")
			r.sleepUntil(time.Now().Add(r.ttl / 4))
		}
		var late *waiter
		if r.h.Want.Features.Has(driver.Fair) {
			late = r.startWait(r.client(), key)
			r.waitQueued(a, key, 2)
		}
		r.mustRelease(a, g)
		g = r.waitGranted(w, r.slack, "after three TTLs in the queue")
		if late != nil && late.returned() && late.err == nil && late.at.Before(ends(g)) {
			r.Errorf("a waiter that came later got the lock before one that waited for three TTLs")
		}
		_ = b.Release(r.soon(), g) // a short lease: on a slow machine it has run out
		if late != nil {
			r.mustRelease(a, r.waitGranted(late, r.ttl+r.slack, "second in the queue"))
		}
		r.waitFree(a, key, r.ttl+r.slack)
	},
}, {
	Name:     "WaitBlocksNobody",
	Sentence: "A call that waits for one key does not hold up the calls of the same client for others.",
	check: func(r *fixture) {
		a, b := r.clients()
		busy := r.key()
		g := r.mustLock(a, busy)
		queue := []*waiter{r.startWait(b, busy)}
		r.waitQueued(a, busy, 1)
		for range 5 {
			start := time.Now()
			r.mustRelease(b, r.mustLock(b, r.key()))
			r.mustInspect(b, busy)
			if took := time.Since(start); took > r.slack {
				r.Errorf("Acquire, Release and Inspect took %v beside a call that waits", took)
			}
		}
		for range 7 {
			queue = append(queue, r.startWait(b, busy))
		}
		r.waitQueued(a, busy, len(queue))
		r.mustRelease(a, g)
		for range queue { // the order is another rule's affair
			if !r.until(2*r.slack, func() bool { return slices.ContainsFunc(queue, (*waiter).returned) }) {
				r.Fatalf("of several waiters of one client, %d got no answer", len(queue))
			}
			i := slices.IndexFunc(queue, (*waiter).returned)
			r.mustRelease(b, r.waitGranted(queue[i], 0, "one of several waiters of one client"))
			queue = slices.Delete(queue, i, i+1)
		}
	},
}, {
	Name:     "ReturnsWhenContextDone",
	Sentence: "Methods return when ctx is done, soon enough that a caller does not notice.",
	check: func(r *fixture) {
		a, b := r.clients()
		key := r.key()
		g := r.mustLock(a, key)
		for _, timeout := range []time.Duration{r.slack * 10, r.ttl / 5} {
			err, want := r.interrupted(b, key, timeout)
			for range 2 { // a reply that was lost at that moment is an answer too, but not each time
				if errors.Is(err, driver.ErrUnavailable) && !errors.Is(err, want) {
					err, want = r.interrupted(b, key, timeout)
				}
			}
			if !errors.Is(err, want) {
				r.Errorf("Acquire = %v after its context ended, want the context's error: %v", err, want)
			}
		}
		for name, call := range calls(b, g, func(driver.Grant) {}) {
			dead, cancel := context.WithCancel(r.Context())
			cancel()
			if err, ok := r.bounded(func() error { return call(dead) }); !ok {
				r.Fatalf("%s with a dead context did not return within %v", name, r.slack)
			} else if err == nil && name == "Acquire" {
				r.Errorf("Acquire of a held key with a dead context granted it")
			}
		}
		_ = a.Release(r.soon(), g) // calls has tried, and may have got through
		r.waitFree(a, key, r.slack)
	},
}}

// interrupted waits for a key that is held until the context ends: by cancel if
// the timeout is long, else by its deadline. It returns what Acquire said, and the
// context's error.
func (r *fixture) interrupted(b driver.Backend, key string, timeout time.Duration) (err, ended error) {
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	req := r.request(key)
	req.Wait = true
	errs := make(chan error, 1)
	go func() {
		_, err := r.acquire(ctx, b, req)
		errs <- err
	}()
	if timeout > r.ttl {
		r.waitQueued(b, key, 1)
		cancel()
	}
	<-ctx.Done()
	err, ok := r.bounded(func() error { return <-errs })
	if !ok {
		r.Fatalf("a waiting Acquire did not return within %v after its context: %v", r.slack, ctx.Err())
	}
	r.wantNotHeld(b, driver.Grant{Key: key, AttemptID: req.AttemptID}, "a wait that was interrupted")
	return err, ctx.Err()
}

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
