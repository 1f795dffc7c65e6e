package drivertest

import (
	"errors"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

var tokenRules = []Rule{{
	Name:     "TokensRiseThroughRelease",
	Sentence: "Tokens of a key strictly increase from grant to grant, through release.",
	tokens:   true,
	check: func(r *fixture) {
		a, b := r.clients()
		key := r.key()
		var seen rising
		for range 10 {
			g := r.mustLock(a, key)
			seen.add(r, g)
			w := r.startWait(b, key)
			r.waitQueued(a, key, 1)
			r.mustRelease(a, g)
			g = r.waitGranted(w, r.slack, "released")
			seen.add(r, g)
			r.mustRelease(b, g)
		}
		c := r.client() // a client that knows nothing of before
		g := r.mustLock(c, key)
		seen.add(r, g)
		r.mustRelease(c, g)
	},
}, {
	Name:     "TokensRiseThroughExpiry",
	Sentence: "Tokens of a key strictly increase from grant to grant, through expiry.",
	tokens:   true,
	check: func(r *fixture) {
		b := r.client()
		key := r.key()
		var seen rising
		for range 2 {
			seen.add(r, r.mustLockShort(r.client(), key)) // and dies
			r.waitFree(b, key, r.ttl+r.slack)             // with nobody waiting: the server may forget the key
			seen.add(r, r.mustLockShort(r.client(), key)) // and dies too
			g := r.waitGranted(r.startWait(b, key), r.ttl+r.slack, "behind a holder that died")
			seen.add(r, g)
			r.mustRelease(b, g)
		}
	},
}, {
	Name:     "TokensRiseThroughEviction",
	Sentence: "Tokens of a key strictly increase from grant to grant, through eviction.",
	tokens:   true,
	check: func(r *fixture) {
		a, b := r.clients()
		key := r.key()
		var seen rising
		for range 3 {
			seen.add(r, r.mustLock(a, key))
			r.mustEvict(b, key)
			seen.add(r, r.mustLock(a, key))
			w := r.startWait(b, key)
			r.waitQueued(a, key, 1)
			r.mustEvict(b, key)
			g := r.waitGranted(w, r.slack, "the holder was evicted")
			seen.add(r, g)
			r.mustRelease(b, g)
		}
	},
}, {
	Name:     "TokensRiseBehindTheBack",
	Sentence: "Tokens of a key strictly increase, and loss is told, when somebody destroys the grant on the server.",
	tokens:   true,
	hook:     "DestroyGrant",
	check: func(r *fixture) {
		a, b := r.clients()
		key := r.key()
		var seen rising
		for range 3 {
			g := r.mustLock(a, key)
			seen.add(r, g)
			r.h.DestroyGrant(r.recorder, key)
			gone := r.until(r.slack, func() bool { return errors.Is(r.renew(a, &g), driver.ErrNotHeld) })
			if !gone {
				r.Errorf("Renew of a grant that was destroyed on the server never said ErrNotHeld")
			}
			r.wantNotHeld(a, g, "a grant that was destroyed on the server")
			next := r.waitGranted(r.startWait(b, key), r.slack, "the holder's grant was destroyed")
			seen.add(r, next)
			r.mustRelease(b, next)
		}
	},
}}

// rising checks the tokens of one key.
type rising struct{ last fencing.Token }

func (s *rising) add(r *fixture, g driver.Grant) {
	if r.fell(uint64(s.last), uint64(g.Token)) {
		r.Errorf("token %v was granted after %v", g.Token, s.last)
	}
	s.last = max(s.last, g.Token)
}

// fell reports whether a token is no greater than the one before, where there are tokens.
func (r *fixture) fell(before, now uint64) bool { return !r.h.Want.Tokenless && now <= before }

// renewUntil renews until the answer is definite: nil or ErrNotHeld.
func (r *fixture) renewUntil(b driver.Backend, g driver.Grant, d time.Duration) error {
	var err error
	r.until(d, func() bool {
		err = r.renew(b, &g)
		return err == nil || errors.Is(err, driver.ErrNotHeld)
	})
	return err
}
