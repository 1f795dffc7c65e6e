package drivertest

import (
	"errors"

	"github.com/fencelock/fencelock/driver"
)

var sessionRules = []Rule{{
	Name:     "DeadSessionIsNotGranted",
	Sentence: "A grant never comes from a session that has died while waiting.",
	hook:     "KillSession",
	check: func(r *rig) {
		a, b := r.clients()
		dying := r.client()
		key := r.key()
		g := r.lock(a, key)
		w := r.wait(dying, key)
		r.queued(a, key, 1)
		next := r.wait(b, key)
		r.queued(a, key, 2)
		r.h.KillSession(r.recorder, dying)
		if r.until(r.slack/5, w.returned) && w.err == nil {
			r.Fatalf("a waiter was granted token %v when its session died", w.grant.Token)
		}
		r.release(a, g)
		g = r.granted(next, r.ttl+r.slack, "behind a waiter whose session died")
		if w.returned() && w.err == nil {
			r.Errorf("a waiter whose session died was granted token %v, and the one behind it %v", w.grant.Token, g.Token)
		}
		r.held(b, g, "the session of one before it died")
		r.abandonDead(dying, w)
		r.release(b, g)
		r.free(b, key, r.slack)
	},
}, {
	Name:     "DeadSessionIsTold",
	Sentence: "A holder whose session has died is told: Renew and Release say ErrNotHeld, and Request.Lost is called where losses are pushed.",
	hook:     "KillSession",
	check: func(r *rig) {
		a, b := r.clients()
		key := r.key()
		g := r.lock(a, key)
		w := r.wait(b, key)
		r.queued(b, key, 1)
		r.h.KillSession(r.recorder, a)
		next := r.granted(w, r.ttl+r.slack, "behind a holder whose session died")
		if err := r.renewUntil(a, g, r.slack); !errors.Is(err, driver.ErrNotHeld) {
			r.Errorf("Renew after the session died = %v, want ErrNotHeld", err)
		}
		r.toldLost(g, "its session died")
		r.nothing(a, g, "a grant whose session died")
		r.held(b, next, "the session before it died")
		r.release(b, next)

		key = r.key() // and the client can be used again
		if !r.until(r.slack, func() bool {
			var err error
			g, err = r.try(a, key)
			return err == nil
		}) {
			r.Fatalf("a client whose session died cannot lock any more")
		}
		r.release(a, g)
	},
}}

// abandonDead cleans up after a waiter whose session has died, the way the core
// does.
func (r *rig) abandonDead(b driver.Backend, w *waiter) {
	r.abandon(w)
	x := driver.Grant{Key: w.req.Key, AttemptID: w.req.AttemptID}
	if !r.until(r.slack, func() bool { return errors.Is(b.Release(r.soon(), x), driver.ErrNotHeld) }) {
		r.Errorf("Release of a waiter whose session died never said ErrNotHeld")
	}
}
