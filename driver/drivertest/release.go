package drivertest

import (
	"github.com/fencelock/fencelock/driver"
)

var releaseRules = []Rule{{
	Name: "ReleaseByAttempt",
	Sentence: "Release needs no more than Key and AttemptID, whether or not the request ever reached the server: " +
		"the core has nothing else after a failed Acquire.",
	check: func(r *fixture) {
		a, b := r.clients()
		key := r.key()
		g := r.mustLock(a, key)
		bare := driver.Grant{Key: key, AttemptID: g.AttemptID}
		if err := a.Release(r.soon(), bare); err != nil {
			r.Errorf("Release by Key and AttemptID = %v, want nil", err)
		}
		r.wantLost(a, g, "a grant that was released by its AttemptID")
		g = r.mustLock(b, key)
		r.wantNotHeld(a, bare, "the same attempt again")
		r.wantNotHeld(a, driver.Grant{Key: key, AttemptID: newAttemptID()}, "an attempt that never asked")
		r.wantHeld(b, g, "others were released by AttemptID")

		w := r.startWait(a, key)
		r.waitQueued(b, key, 1)
		r.mustCancel(w)
		r.wantNotHeld(a, driver.Grant{Key: key, AttemptID: w.req.AttemptID}, "a waiter by its AttemptID")
		r.mustRelease(b, g)
		r.waitFree(b, key, r.slack)
	},
}, {
	Name: "ReleaseTellsLoss",
	Sentence: "Release returns nil when it ended a grant, and ErrNotHeld when there was nothing to end: " +
		"a grant that has expired, was evicted, or is released twice.",
	check: func(r *fixture) {
		a, b := r.clients()
		key := r.key()
		g := r.mustLock(a, key)
		r.mustRelease(a, g)
		r.wantNotHeld(a, g, "a grant that was released")

		g = r.mustLock(a, key)
		r.mustEvict(b, key)
		r.wantNotHeld(a, g, "a grant that was evicted")

		dying := r.client()
		g = r.mustLockShort(dying, key)
		r.waitFree(b, key, r.ttl+r.slack)
		r.wantNotHeld(dying, g, "a grant that has expired")
	},
}}
