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
	if w.quiescent {
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
	case x < 0.08+w.scenario.looks:
		c.inspect(key, k.again)
	default:
		wait, soon := true, 2*time.Second
		if w.rng.Float64() < w.scenario.tries {
			wait, soon = false, 30*time.Millisecond
		}
		t := k.attempt(key, wait)
		if w.rng.Float64() < w.scenario.cancels {
			c.then(w.some(0, soon), t.cancel)
		}
	}
}

// again begins another attempt, after a while.
func (k *worker) again() {
	if !k.once {
		k.c.then(k.c.w.some(0, k.c.w.scenario.think), k.work)
	}
}

// attempt asks for a key.
func (k *worker) attempt(key string, wait bool) *attempt {
	c := k.c
	w := c.w
	name := c.attemptName()
	t := &attempt{promise: w.promises.begin(name, key), k: k, key: key, ttl: w.scenario.ttls[w.rng.IntN(len(w.scenario.ttls))], sent: c.local()}
	w.trace.line("%s asks for %s, ttl %v, wait %v", name, key, t.ttl, wait)
	c.attempts = append(c.attempts, t)
	t.acquire(command.Command{Op: command.Acquire, Key: key, AttemptID: name, Meta: "m" + name, TTL: t.ttl, Wait: wait})
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

// evictClaim ends the grant of one attempt, as an operator may who has looked: mostly of the holder,
// sometimes of one that waits, or that has ended.
func (k *worker) evictClaim(key string) {
	w := k.c.w
	attemptID := "nobody"
	if known := w.committedLog.attempts(key); len(known) > 0 {
		attemptID = known[len(known)-1-min(w.rng.IntN(4)/2*w.rng.IntN(3), len(known)-1)]
	}
	if t := w.attemptAt(key); t != nil && w.rng.IntN(4) == 0 {
		attemptID = t.name
	}
	w.trace.line("%s evicts %s from %s", k.c, attemptID, key)
	asked := w.now
	w.promises.target(attemptID)
	k.c.do(command.Command{Op: command.EvictClaim, Key: key, AttemptID: attemptID}, func(r command.Reply, known bool) {
		switch {
		case !known:
		case r.Code == command.OK:
			w.evictions++
			if !w.committedLog.possible(key, asked, func(v version) bool { return v.attemptID == attemptID }) {
				w.fail("%s is said to be evicted from %s, and at no time since that was asked did it hold it", attemptID, key)
			}
		case r.Code != command.NotHeld:
			w.fail("evict of %s from %s was answered %+v", attemptID, key, r)
		case !w.committedLog.possible(key, asked, func(v version) bool { return v.attemptID != attemptID }):
			w.fail("%s is said not to hold %s, and at all times since that was asked it did", attemptID, key)
		}
		k.again()
	})
}

// attemptAt is an attempt of anybody at a key.
func (w *world) attemptAt(key string) *attempt {
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
				if !w.committedLog.possible(l.Key, since, func(v version) bool { return l.Token == v.token && l.AttemptID == v.attemptID }) {
					w.fail("%+v is listed, and at no time since that was asked was that so", l)
				}
			}
			if r.Number != 0 {
				page(r.Number)
				return
			}
			for _, key := range w.keys {
				if !listed[key] && !w.committedLog.possible(key, asked, func(v version) bool { return v.token == 0 }) {
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
		case !w.committedLog.possible(key, asked, func(v version) bool {
			return s.Held == (v.token != 0) && s.Token == v.token && s.AttemptID == v.attemptID && s.Waiters == v.waiters
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

// trust is the share of the TTL that a holder counts on, from when it sent the command.
const trust = 0.9

// granted begins to hold, if there is anything left of it.
func (t *attempt) granted(token uint64) {
	c := t.k.c
	w := c.w
	if t.token != 0 {
		w.promises.extended(t.promise, token, t.promised())
		return
	}
	w.trace.line("%s has %s by token %d", t.name, t.key, token)
	w.promises.granted(t.promise, token, t.promised())
	life := w.some(0, 3*t.ttl/2)
	if w.rng.IntN(3) > 0 || w.quiescent {
		life = w.some(0, 50*time.Millisecond)
	}
	c.then(c.clock.real(life), t.leave)
	t.write()
	if !w.quiescent && w.rng.Float64() < w.scenario.pauses {
		c.pause(w.some(0, 2*t.ttl))
	}
	first := t.until
	if left := t.until - w.now; left < t.ttl/6 {
		// Almost nothing is left, or nothing: the answer was late, or an old one.
		t.renew()
		first = w.now + t.ttl/2
	}
	t.expectEnd(first)
}

// promised is until when the client trusts its lease, in the world's time.
func (t *attempt) promised() time.Duration {
	c := t.k.c
	end := t.asked + time.Duration(trust*float64(t.ttl))
	return c.w.now + c.clock.real(end-c.local())
}

// expectEnd lets go when the time that was promised is over and nothing has been heard.
func (t *attempt) expectEnd(when time.Duration) {
	c := t.k.c
	life := c.life
	c.w.at(when, func() {
		c.awake(life, func() {
			switch {
			case t.over:
			case c.w.now < t.until:
				t.expectEnd(t.until)
			default:
				c.w.expiredHere++
				c.w.trace.line("%s has lost %s: nothing heard", t.name, t.key)
				t.lost()
			}
		})
	})
}

// write writes to the store, now and then, as long as it holds; some do not look at the clock.
func (t *attempt) write() {
	w := t.k.c.w
	if t.over || t.token == 0 {
		return
	}
	if t.holds(w.now) || w.rng.IntN(2) == 0 {
		w.after(w.network.latency(), func() { w.promises.write(t.promise) })
	}
	t.k.c.then(w.some(10*time.Millisecond, t.ttl/4), t.write)
}
