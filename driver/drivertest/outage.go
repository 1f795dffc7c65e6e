package drivertest

import (
	"context"
	"errors"

	"github.com/fencelock/fencelock/driver"
)

var outageRules = []Rule{{
	Name: "UnavailableIsNotDefinitive",
	Sentence: "An error that cannot say whether the request was carried out wraps ErrUnavailable; ErrHeld and " +
		"ErrNotHeld are never a guess. No call outlives its context.",
	hook: "Partition",
	check: func(r *fixture) {
		a, b := r.clients()
		key, busy := r.key(), r.key()
		g := r.mustLock(a, key)
		other := r.mustLock(b, busy)
		w := r.startWait(a, busy)
		r.waitQueued(b, busy, 1)
		heal := r.h.Partition(r.recorder, a)
		var failed []error
		left := []driver.Grant{g, {Key: busy, AttemptID: w.req.AttemptID}}
		for name, call := range calls(a, g, func(g driver.Grant) { left = append(left, g) }) {
			ctx, cancel := context.WithTimeout(r.Context(), r.ttl/2)
			err, ok := r.bounded(func() error { return call(ctx) })
			cancel()
			switch {
			case !ok:
				r.Errorf("%s, cut off from the server, did not return within %v after its context ended", name, r.slack)
			case err == nil:
				r.Errorf("%s, cut off from the server, succeeded", name)
			case definitive(err), !errors.Is(err, driver.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded):
				r.Errorf("%s, cut off from the server = %v, want ErrUnavailable or the context's error", name, err)
			}
			failed = append(failed, err)
		}
		r.mustCancel(w) // returns although the server does not answer
		if w.err == nil || definitive(w.err) {
			r.Errorf("a waiting Acquire, cut off and cancelled, ended with %v", w.err)
		}
		heal()

		// What was sent may still arrive, so the grant may be there or not. The
		// core's clean-up must get through, and then nothing may be left.
		for _, x := range left {
			var err error
			if !r.until(r.slack, func() bool {
				err = a.Release(r.soon(), x)
				return err == nil || errors.Is(err, driver.ErrNotHeld)
			}) {
				r.Errorf("Release after the network was mended = %v", err)
			}
		}
		r.waitFree(b, key, r.slack)
		r.mustRelease(b, other)
		r.waitFree(b, busy, r.slack)
		r.Logf("errors while cut off: %v", failed)
	},
}, {
	Name:     "CutHolderLapses",
	Sentence: "A holder that cannot reach the server loses the lock when its TTL is over, not before, and is told so when it can.",
	hook:     "Partition",
	check: func(r *fixture) {
		b := r.client()
		cut, key := r.client(), r.key()
		g := r.mustLockShort(cut, key)
		heal := r.h.Partition(r.recorder, cut)
		w := r.startWait(b, key)
		next := r.waitGranted(w, r.ttl+r.slack, "behind a holder that was cut off")
		r.wantNotEarly(w.at, ends(g), "a waiter got the lock")
		heal()
		if err := r.renewUntil(cut, g, r.slack); !errors.Is(err, driver.ErrNotHeld) {
			r.Errorf("Renew after the lease ran out and the network was mended = %v, want ErrNotHeld", err)
		}
		r.wantHeld(b, next, "the one before it is back")
		r.mustRelease(b, next)
	},
}}
