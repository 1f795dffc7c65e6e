package drivertest

import (
	"time"
)

var expiryRules = []Rule{{
	Name: "ExpiryFrees",
	Sentence: "The lock of a holder that has died is free when its TTL is over, for a waiter and for whoever asks next, " +
		"and not before.",
	check: func(r *rig) {
		b := r.client()

		key := r.key() // somebody waits
		g := r.lease(r.client(), key)
		w := r.wait(b, key)
		next := r.granted(w, r.ttl+r.slack, "behind a holder that died")
		r.notEarly(w.at, ends(g), "a waiter got the lock")
		r.release(b, next)

		key = r.key() // nobody waits, somebody asks now and then
		dead := r.client()
		g = r.lease(dead, key)
		_ = dead.Close()
		got := r.until(r.ttl+r.slack, func() bool {
			var err error
			next, err = r.try(b, key)
			return err == nil
		})
		at := time.Now()
		if !got {
			r.Fatalf("the lock of a holder that died is not free after %v", r.ttl+r.slack)
		}
		r.notEarly(at, ends(g), "whoever asked got the lock")
		r.release(b, next)

		key = r.key() // nobody asks at all
		r.lease(r.client(), key)
		r.free(b, key, r.ttl+r.slack)
	},
}, {
	Name:     "ExpiryIsPerGrant",
	Sentence: "A grant lives by its own TTL, whatever others the same client holds or asks for.",
	check: func(r *rig) {
		a, b := r.clients()
		short, long := r.key(), r.key()
		g := r.lock(a, long)
		r.lease(a, short)
		r.free(b, short, r.ttl+r.slack)
		r.held(a, g, "another grant of the client has run out")
		r.taken(b, long, "another grant of the holder's client has run out")
		r.release(a, g)
	},
}}

// notEarly compares the moment at which a grant was seen to have ended, which is
// later than its end on the server, with the end that its holder reckons with.
// So it errs on neither side of a slow machine.
func (r *rig) notEarly(seen, end time.Time, what string) {
	if early := end.Sub(seen); early > 0 {
		r.Errorf("%s %v before the holder's lease had ended", what, early)
	}
}
