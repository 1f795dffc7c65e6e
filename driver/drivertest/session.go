package drivertest

import (
	"errors"

	"github.com/fencelock/fencelock/driver"
)

var sessionRules = []Rule{{
	Name:     "DeadSessionIsNotGranted",
	Sentence: "A grant never comes from a session that has died while waiting.",
	hook:     "KillSession",
	check: func(r *fixture) {
		a, b := r.clients()
		dying := r.client()
		key := r.key()
		g := r.mustLock(a, key)
		w := r.startWait(dying, key)
		r.waitQueued(a, key, 1)
		next := r.startWait(b, key)
		r.waitQueued(a, key, 2)
		r.h.KillSession(r.recorder, dying)
		if r.until(r.slack/5, w.returned) && w.err == nil {
			r.Fatalf("a waiter was granted token %v when its session died", w.grant.Token)
		}
		r.mustRelease(a, g)
		g = r.waitGranted(next, r.ttl+r.slack, "behind a waiter whose session died")
		if w.returned() && w.err == nil {
			r.Errorf("a waiter whose session died was granted token %v, and the one behind it %v", w.grant.Token, g.Token)
		}
		r.wantHeld(b, g, "the session of one before it died")
		r.mustCancelDead(dying, w)
		r.mustRelease(b, g)
		r.waitFree(b, key, r.slack)
	},
}, {
	Name:     "DeadSessionIsTold",
	Sentence: "A holder whose session has died is told: Renew and Release say ErrNotHeld, and Request.Lost is called where losses are pushed.",
	hook:     "KillSession",
	check: func(r *fixture) {
		a, b := r.clients()
		key := r.key()
		g := r.mustLock(a, key)
		w := r.startWait(b, key)
		r.waitQueued(b, key, 1)
		r.h.KillSession(r.recorder, a)
		next := r.waitGranted(w, r.ttl+r.slack, "behind a holder whose session died")
		if err := r.renewUntil(a, g, r.slack); !errors.Is(err, driver.ErrNotHeld) {
			r.Errorf("Renew after the session died = %v, want ErrNotHeld", err)
		}
		r.waitTold(g, "its session died")
		r.wantNotHeld(a, g, "a grant whose session died")
		r.wantHeld(b, next, "the session before it died")
		r.mustRelease(b, next)

		key = r.key() // and the client can be used again
		if !r.until(r.slack, func() bool {
			var err error
			g, err = r.tryLock(a, key)
			return err == nil
		}) {
			r.Fatalf("a client whose session died cannot lock any more")
		}
		r.mustRelease(a, g)
	},
}}

// mustCancelDead cleans up after a waiter whose session has died, the way the core
// does.
func (r *fixture) mustCancelDead(b driver.Backend, w *waiter) {
	r.mustCancel(w)
	x := driver.Grant{Key: w.req.Key, AttemptID: w.req.AttemptID}
	if !r.until(r.slack, func() bool { return errors.Is(b.Release(r.soon(), x), driver.ErrNotHeld) }) {
		r.Errorf("Release of a waiter whose session died never said ErrNotHeld")
	}
}
