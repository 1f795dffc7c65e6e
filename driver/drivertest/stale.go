package drivertest

import (
	"github.com/fencelock/fencelock/driver"
)

var staleRules = []Rule{{
	Name:     "ReleaseOnlyOwn",
	Sentence: "Release ends the claim of its attempt on its key, and no other's.",
	check: func(r *fixture) {
		a, b := r.clients()
		key, other := r.key(), r.key()

		g := r.mustLock(a, key)
		r.wantNotHeld(b, driver.Grant{Key: key, AttemptID: newAttemptID()}, "a stranger")
		r.wantNotHeld(a, driver.Grant{Key: key, AttemptID: newAttemptID()}, "a stranger of the same client")
		r.wantNotHeld(a, driver.Grant{Key: other, AttemptID: g.AttemptID}, "another key under the same AttemptID")
		r.wantHeld(a, g, "strangers were released")
		r.wantHeldByOther(b, key, "strangers were released")

		// The same client: its former grant must not take the new one with it.
		r.mustRelease(a, g)
		fresh := r.mustLock(a, key)
		r.wantNotHeld(a, g, "the former grant of the same client")
		r.wantHeld(a, fresh, "a former grant of its client was released again")

		// A waiter in the queue: neither.
		w := r.startWait(b, key)
		r.waitQueued(a, key, 1)
		r.wantNotHeld(a, g, "a former grant, with a waiter")
		r.wantWaiting(w, "a former grant was released again")
		r.mustRelease(a, fresh)
		g = r.waitGranted(w, r.slack, "released")
		r.wantNotHeld(a, fresh, "the grant before the waiter's")
		r.wantHeld(b, g, "the grant before it was released again")
		r.mustRelease(b, g)
	},
}, {
	Name:     "StaleHolderIsHarmless",
	Sentence: "A holder whose lease ran out can neither renew nor release, nor disturb the grant of its successor.",
	check: func(r *fixture) {
		b := r.client()
		late, key := r.client(), r.key()
		g := r.mustLockShort(late, key)
		next := r.waitGranted(r.startWait(b, key), r.ttl+r.slack, "behind a holder that sleeps")
		r.wantLost(late, g, "a lease that ran out")
		r.wantNotHeld(late, g, "a lease that ran out")
		r.wantNotHeld(late, driver.Grant{Key: key, AttemptID: g.AttemptID}, "a lease that ran out, by its AttemptID")
		r.wantHeld(b, next, "the one before it woke up")
		r.wantHeldByOther(late, key, "the one before it woke up")
		r.mustRelease(b, next)
	},
}}
