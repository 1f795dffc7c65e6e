package sim

import (
	"slices"
	"time"
)

// fault is something that goes wrong, and is mended after a while.
type fault struct {
	name   string
	happen func(w *world)
}

// faults are all kinds. Their order is part of what a seed means.
var faults = []fault{
	{"power", func(w *world) { w.somebody().powerCut(w.some(0, 1500*time.Millisecond)) }},
	{"power in a write", func(w *world) { w.somebody().drive.doom = 1 + w.rng.IntN(12) }},
	{"instant restart", func(w *world) { w.somebody().powerCut(0) }},
	{"kill", func(w *world) {
		h := w.somebody()
		if h.lives() {
			h.kill("killed")
			w.after(w.some(0, time.Second), h.start)
		}
	}},
	{"stop", func(w *world) { w.somebody().stop() }},
	{"rolling restart", func(w *world) {
		for i, h := range w.hosts {
			w.after(time.Duration(i)*1200*time.Millisecond, func() {
				if !w.quiescent {
					h.stop()
				}
			})
		}
	}},
	{"leader killed", func(w *world) {
		if h := w.leader(); h != nil {
			h.powerCut(w.some(0, 2*time.Second))
		}
	}},
	{"blackout", func(w *world) {
		for _, h := range w.hosts {
			h.powerCut(w.some(0, time.Second))
		}
	}},
	{"pause", func(w *world) { w.somebody().pause(w.some(50*time.Millisecond, 3*time.Second)) }},
	{"leader paused", func(w *world) {
		if h := w.leader(); h != nil {
			h.pause(w.some(100*time.Millisecond, 2*time.Second))
		}
	}},
	{"all paused", func(w *world) {
		d := w.some(time.Second, 4*time.Second)
		for _, h := range w.hosts {
			h.pause(d)
		}
		for _, c := range w.clients {
			c.pause(d / 2)
		}
	}},
	{"slow disk", func(w *world) {
		h := w.somebody()
		h.drive.slow = w.some(20*time.Millisecond, 2*time.Second)
		w.after(w.some(500*time.Millisecond, 4*time.Second), func() { h.drive.slow = 0 })
	}},
	{"leader's disk hangs", func(w *world) {
		if h := w.leader(); h != nil {
			h.drive.hang = w.some(300*time.Millisecond, 6*time.Second)
		}
	}},
	{"failing disk", func(w *world) { w.somebody().drive.broken = 1 + w.rng.IntN(20) }},
	{"full disk", func(w *world) {
		h := w.somebody()
		h.drive.full = true
		w.after(w.some(500*time.Millisecond, 3*time.Second), func() { h.drive.full = false })
	}},
	{"one alone", func(w *world) { w.network.part([]*host{w.somebody()}, both) }},
	{"leader alone", func(w *world) {
		if h := w.leader(); h != nil {
			w.network.part([]*host{h}, w.rng.IntN(3))
		}
	}},
	{"leader sleeps apart", func(w *world) {
		// It wakes up with what clients have asked in the meantime, and no word of the others.
		h := w.leader()
		if h == nil {
			return
		}
		var ways []way
		for _, other := range w.hosts {
			if other != h {
				ways = append(ways, way{other.place, h.place})
			}
		}
		d := w.some(1200*time.Millisecond, 2200*time.Millisecond)
		h.pause(d)
		w.network.cutOffFor(ways, d+w.some(0, time.Second))
		// Some clients find the next leader, and change what they find; some think that this one
		// still leads, and come as it wakes up.
		for i, c := range w.clients {
			when, to := d*2/3, h.place+1
			if i%2 == 0 {
				when, to = d+w.some(-150*time.Millisecond, 300*time.Millisecond), h.place
			}
			w.after(when, func() {
				if !c.lives || w.quiescent {
					return
				}
				c.hangUp()
				c.next = to
				for _, key := range w.keys {
					if i%2 == 0 {
						c.inspect(key, func() {})
					} else {
						(&worker{c: c, once: true}).evict(key)
					}
				}
			})
		}
	}},
	{"voters forget", func(w *world) {
		// Whoever has voted loses its power at once, and is back before the next candidate comes.
		if h := w.leader(); h != nil {
			h.powerCut(w.some(time.Second, 2*time.Second))
		}
		w.voting = w.now + 2*time.Second
		w.network.slow = w.some(20*time.Millisecond, 200*time.Millisecond)
		w.after(2*time.Second, w.network.usual)
	}},
	{"one-way", func(w *world) { w.network.part([]*host{w.somebody()}, 1+w.rng.IntN(2)) }},
	{"ring", func(w *world) { w.network.ring() }},
	{"clients cut off", func(w *world) {
		c := w.clients[w.rng.IntN(len(w.clients))]
		var ways []way
		for _, h := range w.hosts {
			if w.rng.IntN(2) == 0 {
				ways = append(ways, way{c.place, h.place})
			}
			if w.rng.IntN(2) == 0 {
				ways = append(ways, way{h.place, c.place})
			}
		}
		w.network.cutOff(ways)
	}},
	{"bad network", func(w *world) {
		n := w.network
		n.loss, n.late, n.slow = 0.3, 0.1, 80*time.Millisecond
		w.after(w.some(300*time.Millisecond, 2*time.Second), n.usual)
	}},
	{"lines break", func(w *world) {
		for _, c := range w.clients {
			if w.rng.IntN(2) == 0 {
				c.hangUp()
				c.connect()
			}
		}
	}},
	{"lines stall", func(w *world) {
		for _, c := range w.clients {
			if c.conn == nil || w.rng.IntN(2) == 0 {
				continue
			}
			until := w.now + w.some(100*time.Millisecond, 4*time.Second)
			if w.rng.IntN(2) == 0 {
				c.conn.toHost.stalled = until
			} else {
				c.conn.toClient.stalled = until
			}
		}
	}},
	{"lines stall and break", func(w *world) {
		// What was sent arrives long after the client has come back on another line.
		for _, c := range w.clients {
			l := c.conn
			if l == nil {
				continue
			}
			l.toHost.stalled = w.now + w.some(100*time.Millisecond, 900*time.Millisecond)
			(&worker{c: c, once: true}).attempt(w.keys[w.rng.IntN(len(w.keys))], false)
			w.after(w.some(5*time.Millisecond, 80*time.Millisecond), func() {
				if c.conn == l {
					l.keeps = true
					c.hangUp()
					c.connect()
				}
			})
		}
	}},
	{"tries given up at once", func(w *world) {
		// Before the attempt there is a question without an answer, so that Lowest does not pass the attempt.
		for _, c := range w.clients {
			if !c.lives || c.paused > w.now {
				continue
			}
			for _, key := range w.keys {
				c.inspect(key, func() {})
				t := (&worker{c: c, once: true}).attempt(key, false)
				c.then(w.some(0, 10*time.Millisecond), t.cancel)
			}
		}
	}},
	{"client dies", func(w *world) { w.clients[w.rng.IntN(len(w.clients))].die() }},
	{"client sleeps", func(w *world) {
		w.clients[w.rng.IntN(len(w.clients))].pause(w.some(200*time.Millisecond, 5*time.Second))
	}},
	{"transfer", func(w *world) {
		if h := w.leader(); h != nil {
			h.input(h.life, func() { _ = h.member.Transfer(0) })
		}
	}},
	{"members change", func(w *world) { w.operator.change() }},
	{"directory lost", func(w *world) { w.losses.lose(w.somebody(), w.some(0, time.Second), w.rng.IntN(2) == 0) }},
	{"directory lost beside a laggard", func(w *world) { w.losses.loseBeside() }},
	{"first start", func(w *world) { w.losses.roughStart(1) }},
}

// somebody is any host that has a part in the cluster; often its leader.
func (w *world) somebody() *host {
	if h := w.leader(); h != nil && w.rng.IntN(3) == 0 {
		return h
	}
	for {
		if h := w.hosts[w.rng.IntN(len(w.hosts))]; !h.retired {
			return h
		}
	}
}

// another is any host that is none of these, or nil.
func (w *world) another(not ...*host) *host {
	var all []*host
	for _, h := range w.hosts {
		if !h.retired && !slices.Contains(not, h) {
			all = append(all, h)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all[w.rng.IntN(len(all))]
}

// leader is who leads in the latest term, or nil.
func (w *world) leader() (leader *host) {
	var term uint64
	for _, h := range w.hosts {
		if !h.up() {
			continue
		}
		if s := h.member.Status(); s.Leading && s.Term > term {
			leader, term = h, s.Term
		}
	}
	return leader
}

func (h *host) powerCut(off time.Duration) {
	if !h.lives() {
		return
	}
	h.crash("the power failed")
	h.w.after(off, h.start)
}

// pause suspends a process: it does nothing, and does not know.
func (h *host) pause(d time.Duration) {
	h.w.trace.line("%s is suspended for %v", h, d)
	h.paused = max(h.paused, h.w.now+d)
}
