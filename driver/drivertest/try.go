package drivertest

import (
	"time"

	"github.com/fencelock/fencelock/driver"
)

var tryRules = []Rule{{
	Name: "TryDoesNotWait",
	Sentence: "With Wait false, Acquire does not wait for the holder: it returns a *HeldError at once and leaves " +
		"nothing on the server.",
	check: func(r *rig) {
		a, b := r.clients()
		key := r.key()
		g := r.lock(a, key)
		for range 3 {
			start := time.Now()
			r.taken(b, key, "TryLock of a held key")
			if took := time.Since(start); took > r.slack {
				r.Errorf("ErrHeld took %v", took)
			}
		}
		loser := r.request(key)
		if _, err := r.acquire(r.soon(), b, loser); err == nil {
			r.Errorf("TryLock of a held key was granted")
		}
		if n := r.inspect(a, key).Waiters; n > 0 {
			r.Errorf("TryLocks that lost stand in the queue: Inspect counts %d waiters", n)
		}
		r.nothing(b, driver.Grant{Key: key, AttemptID: loser.AttemptID}, "a TryLock that lost")
		r.release(a, g)
		r.free(a, key, r.slack)
		g = r.lock(a, key) // and it is handed to nobody who has gone away
		w := r.wait(a, key)
		r.queued(a, key, 1)
		r.taken(b, key, "TryLock of a key with a queue")
		r.release(a, g)
		r.release(a, r.granted(w, r.slack, "after a TryLock that lost"))
		r.free(b, key, r.slack)
	},
}}
