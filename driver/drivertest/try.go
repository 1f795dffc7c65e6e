package drivertest

import (
	"time"

	"github.com/fencelock/fencelock/driver"
)

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
