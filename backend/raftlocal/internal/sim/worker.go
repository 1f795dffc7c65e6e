package sim

import (
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// worker is a part of a client that takes a lock, holds it for a while, and lets it go, again
// and again.
type worker struct {
	c     *client
	final bool // this is its last attempt, which must succeed
	once  bool // it has no other attempt
}

// work begins an attempt.
func (k *worker) work() {
	c := k.c
	w := c.w
	if w.calm {
		if k.final {
			w.working--
			return
		}
		k.final = true
	}
	key := w.keys[w.rng.IntN(len(w.keys))]
	switch x := w.rng.Float64(); {
	case k.final:
		k.attempt(key, true)
	case x < 0.03:
		k.evict(key)
	case x < 0.03+w.plan.looks:
		c.inspect(key, k.again)
	default:
		wait, soon := true, 2*time.Second
		if w.rng.Float64() < w.plan.tries {
			wait, soon = false, 30*time.Millisecond
		}
		t := k.attempt(key, wait)
		if w.rng.Float64() < w.plan.cancels {
			c.then(w.some(0, soon), t.cancel)
		}
	}
}

// again begins another attempt, after a while.
func (k *worker) again() {
	if !k.once {
		k.c.then(k.c.w.some(0, k.c.w.plan.think), k.work)
	}
}

// attempt asks for a key.
func (k *worker) attempt(key string, wait bool) *try {
	c := k.c
	w := c.w
	name := c.attemptName()
	t := &try{attempt: w.promises.begin(name, key), k: k, key: key, ttl: w.plan.ttls[w.rng.IntN(len(w.plan.ttls))], sent: c.local()}
	w.trace.line("%s asks for %s, ttl %v, wait %v", name, key, t.ttl, wait)
	c.attempts = append(c.attempts, t)
	t.acquire(command.Command{Op: command.Acquire, Key: key, Owner: name, Meta: "m" + name, TTL: t.ttl, Wait: wait})
	return t
}

// evict ends somebody's grant, as an operator may.
func (k *worker) evict(key string) {
	w := k.c.w
	k.c.do(command.Command{Op: command.Evict, Key: key}, func(r command.Reply, known bool) {
		if known && r.Code != command.OK && r.Code != command.NotHeld {
			w.fail("evict of %s was answered %+v", key, r)
		}
		k.again()
	})
}

// inspect asks who holds a key.
func (c *client) inspect(key string, then func()) {
	w := c.w
	asked := w.now
	c.do(command.Command{Op: command.Inspect, Key: key}, func(r command.Reply, known bool) {
		s := r.Status
		switch {
		case !known:
		case r.Code != command.OK:
			w.fail("inspect of %s was answered %+v", key, r)
		case !w.truth.possible(key, asked, func(v version) bool {
			return s.Held == (v.token != 0) && s.Token == v.token && s.Owner == v.owner && s.Waiters == v.waiters
		}):
			w.fail("inspect of %s was answered %+v, and at no time since it was asked was that so", key, s)
		case s.Left < 0 || s.Left > 10*time.Second:
			w.fail("inspect of %s was answered that %v are left", key, s.Left)
		default:
			w.inspections++
		}
		then()
	})
}
