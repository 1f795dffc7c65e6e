package drivertest

import (
	"time"
)

var expiryRules = []Rule{{
	Name: "ExpiryFrees",
	Sentence: "The lock of a holder that has died is free when its TTL is over, for a waiter and for the next that asks, " +
		"and not before.",
	check: func(r *fixture) {
		b := r.client()

		key := r.key() // somebody waits
		g := r.mustLockShort(r.client(), key)
		w := r.startWait(b, key)
		next := r.waitGranted(w, r.ttl+r.slack, "behind a holder that died")
		r.wantNotEarly(w.at, ends(g), "a waiter got the lock")
		r.mustRelease(b, next)

		key = r.key() // nobody waits, somebody asks now and then
		dead := r.client()
		g = r.mustLockShort(dead, key)
		_ = dead.Close()
		got := r.until(r.ttl+r.slack, func() bool {
			var err error
			next, err = r.tryLock(b, key)
			return err == nil
		})
		at := time.Now()
		if !got {
			r.Fatalf("the lock of a holder that died is not free after %v", r.ttl+r.slack)
		}
		r.wantNotEarly(at, ends(g), "one that asked got the lock")
		r.mustRelease(b, next)

		key = r.key() // nobody asks at all
		r.mustLockShort(r.client(), key)
		r.waitFree(b, key, r.ttl+r.slack)
	},
}, {
	Name:     "ExpiryIsPerGrant",
	Sentence: "A grant lives by its own TTL, whatever others the same client holds or asks for.",
	check: func(r *fixture) {
		a, b := r.clients()
		short, long := r.key(), r.key()
		g := r.mustLock(a, long)
		r.mustLockShort(a, short)
		r.waitFree(b, short, r.ttl+r.slack)
		r.wantHeld(a, g, "another grant of the client has run out")
		r.wantHeldByOther(b, long, "another grant of the holder's client has run out")
		r.mustRelease(a, g)
	},
}}

// wantNotEarly compares the moment at which a grant was seen to have ended, which is
// later than its end on the server, with the end that its holder reckons with.
// So it errs on neither side of a slow machine.
func (r *fixture) wantNotEarly(seen, end time.Time, what string) {
	if early := end.Sub(seen); early > 0 {
		r.Errorf("%s %v before the holder's lease had ended", what, early)
	}
}
