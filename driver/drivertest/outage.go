package drivertest

import (
	"context"
	"errors"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var outageRules = []Rule{{
	Name: "UnavailableIsNotDefinitive",
	Sentence: "An error that cannot say whether the request was carried out wraps ErrUnavailable; ErrHeld and " +
		"ErrNotHeld are never a guess. No call outlives its context.",
	hook: "Partition",
	check: func(r *fixture) {
		a, b := r.clients()
		key, busy := r.key(), r.key()
		g := r.mustLock(a, key)
		other := r.mustLock(b, busy)
		w := r.startWait(a, busy)
		r.waitQueued(b, busy, 1)
		heal := r.h.Partition(r.recorder, a)
		var failed []error
		left := []driver.Grant{g, {Key: busy, AttemptID: w.req.AttemptID}}
		for name, call := range calls(a, g, func(g driver.Grant) { left = append(left, g) }) {
			ctx, cancel := context.WithTimeout(r.Context(), r.ttl/2)
			err, ok := r.bounded(func() error { return call(ctx) })
			cancel()
			switch {
			case !ok:
				r.Errorf("%s, cut off from the server, did not return within %v after its context ended", name, r.slack)
			case err == nil:
				r.Errorf("%s, cut off from the server, succeeded", name)
			case definitive(err), !errors.Is(err, driver.ErrUnavailable) && !errors.Is(err, context.DeadlineExceeded):
				r.Errorf("%s, cut off from the server = %v, want ErrUnavailable or the context's error", name, err)
			}
			failed = append(failed, err)
		}
		r.mustCancel(w) // returns although the server does not answer
		if w.err == nil || definitive(w.err) {
			r.Errorf("a waiting Acquire, cut off and cancelled, ended with %v", w.err)
		}
		heal()

		// What was sent may still arrive, so the grant may be there or not. The
		// core's clean-up must get through, and then nothing may be left.
		for _, x := range left {
			var err error
			if !r.until(r.slack, func() bool {
				err = a.Release(r.soon(), x)
				return err == nil || errors.Is(err, driver.ErrNotHeld)
			}) {
				r.Errorf("Release after the network was mended = %v", err)
			}
		}
		r.waitFree(b, key, r.slack)
		r.mustRelease(b, other)
		r.waitFree(b, busy, r.slack)
		r.Logf("errors while cut off: %v", failed)
	},
}, {
	Name:     "CutHolderLapses",
	Sentence: "A holder that cannot reach the server loses the lock when its TTL is over, not before, and is told so when it can.",
	hook:     "Partition",
	check: func(r *fixture) {
		b := r.client()
		cut, key := r.client(), r.key()
		g := r.mustLockShort(cut, key)
		heal := r.h.Partition(r.recorder, cut)
		w := r.startWait(b, key)
		next := r.waitGranted(w, r.ttl+r.slack, "behind a holder that was cut off")
		r.wantNotEarly(w.at, ends(g), "a waiter got the lock")
		heal()
		if err := r.renewUntil(cut, g, r.slack); !errors.Is(err, driver.ErrNotHeld) {
			r.Errorf("Renew after the lease ran out and the network was mended = %v, want ErrNotHeld", err)
		}
		r.wantHeld(b, next, "the one before it is back")
		r.mustRelease(b, next)
	},
}}

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

// recovery is how long a server may take to be of use again.
const recovery = time.Minute

var failoverRules = []Rule{{
	Name:      "TokensRiseThroughFailover",
	Sentence:  "Tokens of a key strictly increase through a fail-over of the server.",
	guarantee: driver.FencedOrder,
	tokens:    true,
	hook:      "Failover",
	serial:    true,
	check: func(r *fixture) {
		a, b := r.clients()
		keys := []string{r.key(), r.key(), r.key(), r.key()}
		seen := make([]rising, len(keys))
		for i, key := range keys {
			for range i + 1 {
				g := r.mustLock(a, key)
				seen[i].add(r, g)
				r.mustRelease(a, g)
			}
		}
		r.h.Failover(r.recorder)
		for _, c := range []driver.Backend{a, b} {
			for i, key := range keys {
				g := r.lockAfterFailover(c, key)
				seen[i].add(r, g)
				if err := r.releaseUntil(c, g); err != nil {
					r.Errorf("Release after a fail-over: %v", err)
				}
			}
		}
	},
}, {
	Name:      "GrantsSurviveFailover",
	Sentence:  "Linearizable: a grant survives a fail-over, and nobody else gets the lock before its lease has ended.",
	guarantee: driver.Linearizable,
	hook:      "Failover",
	serial:    true,
	check: func(r *fixture) {
		a, b := r.clients()
		key := r.key()
		g := r.mustLock(a, key)
		w := r.startWait(b, key)
		r.waitQueued(a, key, 1)
		r.h.Failover(r.recorder)
		if err := r.renewUntil(a, g, recovery); err != nil {
			r.Errorf("Renew after a fail-over = %v, want nil", err)
		}
		if w.returned() && w.err == nil {
			r.Errorf("a waiter got the lock in a fail-over: token %v beside %v", w.grant.Token, g.Token)
		}
		if _, err := r.tryLock(b, key); err == nil {
			r.Errorf("another got the lock after a fail-over, while it is held")
		}
		if err := r.releaseUntil(a, g); err != nil {
			r.Errorf("Release after a fail-over = %v", err)
		}
		// The wait may have ended with the connection; the core would ask again.
		next := w.req
		next.Retry = w.ended(r.slack)
		if w.err == nil && next.Retry {
			r.mustRelease(b, w.grant)
			return
		}
		r.mustCancel(w)
		r.mustRelease(b, r.waitGranted(r.startWaitFor(b, next), recovery, "released after a fail-over"))
	},
}}

// lockAfterFailover takes a free key as soon as the server is of use again.
func (r *fixture) lockAfterFailover(b driver.Backend, key string) (g driver.Grant) {
	req := r.request(key)
	var err error
	if !r.until(recovery, func() bool {
		g, err = r.acquire(r.soon(), b, req)
		req.Retry = true
		return err == nil
	}) {
		r.Fatalf("after a fail-over Acquire still says: %v", err)
	}
	return g
}

// releaseUntil releases until the answer is definite. ErrNotHeld counts as
// success after a request with an unknown outcome.
func (r *fixture) releaseUntil(b driver.Backend, g driver.Grant) (err error) {
	unknown := false
	r.until(recovery, func() bool {
		err = b.Release(r.soon(), g)
		if errors.Is(err, driver.ErrNotHeld) && unknown {
			err = nil
		}
		unknown = unknown || err != nil
		return err == nil || errors.Is(err, driver.ErrNotHeld)
	})
	return err
}
