package sim

import (
	"time"
)

// trust is the share of the TTL that a holder counts on, from when it sent the command.
const trust = 0.9

// granted begins to hold, if there is anything left of it.
func (t *try) granted(token uint64) {
	c := t.k.c
	w := c.w
	if t.token != 0 {
		w.promises.extended(t.attempt, token, t.promised())
		return
	}
	w.trace.line("%s has %s by token %d", t.name, t.key, token)
	w.promises.granted(t.attempt, token, t.promised())
	life := w.some(0, 3*t.ttl/2)
	if w.rng.IntN(3) > 0 || w.calm {
		life = w.some(0, 50*time.Millisecond)
	}
	c.then(c.clock.real(life), t.leave)
	t.write()
	if !w.calm && w.rng.Float64() < w.plan.pauses {
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
func (t *try) promised() time.Duration {
	c := t.k.c
	end := t.asked + time.Duration(trust*float64(t.ttl))
	return c.w.now + c.clock.real(end-c.local())
}

// expectEnd lets go when the time that was promised is over and nothing has been heard.
func (t *try) expectEnd(when time.Duration) {
	c := t.k.c
	life := c.life
	c.w.at(when, func() {
		c.awake(life, func() {
			switch {
			case t.over:
			case c.w.now < t.until:
				t.expectEnd(t.until)
			default:
				c.w.lapses++
				c.w.trace.line("%s has lost %s: nothing heard", t.name, t.key)
				t.lost()
			}
		})
	})
}

// write writes to the store, now and then, as long as it holds; some do not look at the clock.
func (t *try) write() {
	w := t.k.c.w
	if t.over || t.token == 0 {
		return
	}
	if t.holds(w.now) || w.rng.IntN(2) == 0 {
		w.after(w.network.latency(), func() { w.promises.write(t.attempt) })
	}
	t.k.c.then(w.some(10*time.Millisecond, t.ttl/4), t.write)
}
