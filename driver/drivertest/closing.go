package drivertest

import (
	"errors"

	"github.com/fencelock/fencelock/driver"
)

var closeRules = []Rule{{
	Name:     "CloseLeavesGrants",
	Sentence: "Close does not release grants; calls under way end with an error; it may be called twice.",
	check: func(r *fixture) {
		a, b := r.clients()
		key, busy := r.key(), r.key()
		g := r.mustLock(a, key)
		other := r.mustLock(b, busy)
		w := r.startWait(a, busy)
		r.waitQueued(b, busy, 1)
		for range 2 {
			if _, ok := r.bounded(a.Close); !ok {
				r.Fatalf("Close did not return within %v", r.slack)
			}
		}
		switch {
		case !w.ended(r.slack):
			r.Errorf("a waiting Acquire did not return within %v after Close", r.slack)
		case w.err == nil:
			r.Errorf("a waiting Acquire was granted by Close")
		case definitive(w.err):
			r.Errorf("a waiting Acquire ended with %v after Close: that is a guess", w.err)
		}
		r.wantHeldByOther(b, key, "its holder's client was closed")
		r.wantShown(b, g, r.Name(), 0)
		for name, call := range calls(a, g, func(driver.Grant) {}) {
			switch err, ok := r.bounded(func() error { return call(r.soon()) }); {
			case !ok:
				r.Errorf("%s on a closed client did not return within %v", name, r.slack)
			case err == nil || definitive(err):
				r.Errorf("%s on a closed client = %v, want another error", name, err)
			}
		}
		r.wantHeldByOther(b, key, "its holder's client was closed")
		r.mustEvict(b, key)
		r.mustRelease(b, other)
	},
}}

// definitive reports whether an error claims to know who holds the key.
func definitive(err error) bool {
	return errors.Is(err, driver.ErrHeld) || errors.Is(err, driver.ErrNotHeld)
}
