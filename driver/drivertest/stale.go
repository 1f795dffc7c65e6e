package drivertest

import (
	"github.com/fencelock/fencelock/driver"
)

var staleRules = []Rule{{
	Name:     "ReleaseOnlyOwn",
	Sentence: "Release ends the claim of its owner on its key, and no other's.",
	check: func(r *rig) {
		a, b := r.clients()
		key, other := r.key(), r.key()

		g := r.lock(a, key)
		r.nothing(b, driver.Grant{Key: key, AttemptID: newOwner()}, "a stranger")
		r.nothing(a, driver.Grant{Key: key, AttemptID: newOwner()}, "a stranger of the same client")
		r.nothing(a, driver.Grant{Key: other, AttemptID: g.AttemptID}, "another key under the same owner")
		r.held(a, g, "strangers were released")
		r.taken(b, key, "strangers were released")

		// The same client: its former grant must not take the new one with it.
		r.release(a, g)
		fresh := r.lock(a, key)
		r.nothing(a, g, "the former grant of the same client")
		r.held(a, fresh, "a former grant of its client was released again")

		// A waiter in the queue: neither.
		w := r.wait(b, key)
		r.queued(a, key, 1)
		r.nothing(a, g, "a former grant, with a waiter")
		r.waiting(w, "a former grant was released again")
		r.release(a, fresh)
		g = r.granted(w, r.slack, "released")
		r.nothing(a, fresh, "the grant before the waiter's")
		r.held(b, g, "the grant before it was released again")
		r.release(b, g)
	},
}, {
	Name:     "StaleHolderIsHarmless",
	Sentence: "A holder whose lease ran out can neither renew nor release, nor disturb the grant of its successor.",
	check: func(r *rig) {
		b := r.client()
		late, key := r.client(), r.key()
		g := r.lease(late, key)
		next := r.granted(r.wait(b, key), r.ttl+r.slack, "behind a holder that sleeps")
		r.lost(late, g, "a lease that ran out")
		r.nothing(late, g, "a lease that ran out")
		r.nothing(late, driver.Grant{Key: key, AttemptID: g.AttemptID}, "a lease that ran out, by its owner")
		r.held(b, next, "the one before it woke up")
		r.taken(late, key, "the one before it woke up")
		r.release(b, next)
	},
}}
