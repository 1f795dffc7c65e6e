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
	case x < 0.06:
		k.evictClaim(key)
	case x < 0.08:
		c.list(k.again)
	case x < 0.08+w.plan.looks:
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

// evictClaim ends the grant of one attempt, as an operator may who has looked: mostly of whoever holds the key,
// sometimes of one that waits, or that has ended.
func (k *worker) evictClaim(key string) {
	w := k.c.w
	owner := "nobody"
	if known := w.truth.owners(key); len(known) > 0 {
		owner = known[len(known)-1-min(w.rng.IntN(4)/2*w.rng.IntN(3), len(known)-1)]
	}
	if t := w.attemptAt(key); t != nil && w.rng.IntN(4) == 0 {
		owner = t.name
	}
	w.trace.line("%s evicts %s from %s", k.c, owner, key)
	asked := w.now
	w.promises.target(owner)
	k.c.do(command.Command{Op: command.EvictClaim, Key: key, Owner: owner}, func(r command.Reply, known bool) {
		switch {
		case !known:
		case r.Code == command.OK:
			w.evictions++
			if !w.truth.possible(key, asked, func(v version) bool { return v.owner == owner }) {
				w.fail("%s is said to be evicted from %s, and at no time since that was asked did it hold it", owner, key)
			}
		case r.Code != command.NotHeld:
			w.fail("evict of %s from %s was answered %+v", owner, key, r)
		case !w.truth.possible(key, asked, func(v version) bool { return v.owner != owner }):
			w.fail("%s is said not to hold %s, and at all times since that was asked it did", owner, key)
		}
		k.again()
	})
}

// attemptAt is an attempt of anybody at a key.
func (w *world) attemptAt(key string) *try {
	for _, c := range w.clients {
		for _, t := range c.attempts {
			if t.key == key {
				return t
			}
		}
	}
	return nil
}

// list asks for all that is held, in small pages.
func (c *client) list(then func()) {
	w := c.w
	asked, limit := w.now, 1+w.rng.Uint64N(3)
	listed := map[string]bool{}
	var page func(after uint64)
	page = func(after uint64) {
		since := w.now
		c.do(command.Command{Op: command.ListHeld, Key: "k", Claims: []uint64{after, limit}}, func(r command.Reply, known bool) {
			switch {
			case !known:
				then()
				return
			case r.Code != command.OK || uint64(len(r.Locks)) > limit:
				w.fail("a list was answered %+v", r)
				return
			}
			for _, l := range r.Locks {
				listed[l.Key] = true
				if !w.truth.possible(l.Key, since, func(v version) bool { return l.Token == v.token && l.Owner == v.owner }) {
					w.fail("%+v is listed, and at no time since that was asked was that so", l)
				}
			}
			if r.Number != 0 {
				page(r.Number)
				return
			}
			for _, key := range w.keys {
				if !listed[key] && !w.truth.possible(key, asked, func(v version) bool { return v.token == 0 }) {
					w.fail("%s is not listed, and was held at all times since that was asked", key)
				}
			}
			w.lists++
			then()
		})
	}
	page(0)
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
