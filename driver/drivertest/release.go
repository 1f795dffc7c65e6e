package drivertest

import (
	"github.com/fencelock/fencelock/driver"
)

var releaseRules = []Rule{{
	Name: "ReleaseByAttempt",
	Sentence: "Release needs no more than Key and AttemptID, whether or not the request ever reached the server: " +
		"the core has nothing else after a failed Acquire.",
	check: func(r *rig) {
		a, b := r.clients()
		key := r.key()
		g := r.lock(a, key)
		bare := driver.Grant{Key: key, AttemptID: g.AttemptID}
		if err := a.Release(r.soon(), bare); err != nil {
			r.Errorf("Release by Key and AttemptID = %v, want nil", err)
		}
		r.lost(a, g, "a grant that was released by its owner's name")
		g = r.lock(b, key)
		r.nothing(a, bare, "the same owner again")
		r.nothing(a, driver.Grant{Key: key, AttemptID: newOwner()}, "an owner that never asked")
		r.held(b, g, "others were released by name")

		w := r.wait(a, key)
		r.queued(b, key, 1)
		r.abandon(w)
		r.nothing(a, driver.Grant{Key: key, AttemptID: w.req.AttemptID}, "a waiter by its name")
		r.release(b, g)
		r.free(b, key, r.slack)
	},
}, {
	Name: "ReleaseTellsLoss",
	Sentence: "Release returns nil when it ended a grant, and ErrNotHeld when there was nothing to end: " +
		"a grant that has expired, was evicted, or is released twice.",
	check: func(r *rig) {
		a, b := r.clients()
		key := r.key()
		g := r.lock(a, key)
		r.release(a, g)
		r.nothing(a, g, "a grant that was released")

		g = r.lock(a, key)
		r.evict(b, key)
		r.nothing(a, g, "a grant that was evicted")

		dying := r.client()
		g = r.lease(dying, key)
		r.free(b, key, r.ttl+r.slack)
		r.nothing(dying, g, "a grant that has expired")
	},
}}
