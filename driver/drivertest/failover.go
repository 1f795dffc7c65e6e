package drivertest

import (
	"errors"
	"time"

	"github.com/fencelock/fencelock/driver"
)

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
