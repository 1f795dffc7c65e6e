package sim

import (
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
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
		if h.up() {
			h.kill("killed")
			w.after(w.some(0, time.Second), h.start)
		}
	}},
	{"stop", func(w *world) { w.somebody().stop() }},
	{"rolling restart", func(w *world) {
		for i, h := range w.hosts {
			w.after(time.Duration(i)*1200*time.Millisecond, func() {
				if !w.calm {
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
	{"one alone", func(w *world) { w.part([]*host{w.somebody()}, both) }},
	{"leader alone", func(w *world) {
		if h := w.leader(); h != nil {
			w.part([]*host{h}, w.rng.IntN(3))
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
		w.severFor(ways, d+w.some(0, time.Second))
		// Some clients find the next leader, and change what they find; some think that this one
		// still leads, and come as it wakes up.
		for i, c := range w.clients {
			when, to := d*2/3, h.place+1
			if i%2 == 0 {
				when, to = d+w.some(-150*time.Millisecond, 300*time.Millisecond), h.place
			}
			w.after(when, func() {
				if !c.lives || w.calm {
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
	{"one-way", func(w *world) { w.part([]*host{w.somebody()}, 1+w.rng.IntN(2)) }},
	{"ring", func(w *world) { w.ring() }},
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
		w.sever(ways)
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
			if c.line == nil || w.rng.IntN(2) == 0 {
				continue
			}
			until := w.now + w.some(100*time.Millisecond, 4*time.Second)
			if w.rng.IntN(2) == 0 {
				c.line.toHost.stalled = until
			} else {
				c.line.toClient.stalled = until
			}
		}
	}},
	{"lines stall and break", func(w *world) {
		// What was sent arrives long after the client has come back on another line.
		for _, c := range w.clients {
			l := c.line
			if l == nil {
				continue
			}
			l.toHost.stalled = w.now + w.some(100*time.Millisecond, 900*time.Millisecond)
			(&worker{c: c, once: true}).attempt(w.keys[w.rng.IntN(len(w.keys))], false)
			w.after(w.some(5*time.Millisecond, 80*time.Millisecond), func() {
				if c.line == l {
					l.keeps = true
					c.hangUp()
					c.connect()
				}
			})
		}
	}},
	{"tries given up at once", func(w *world) {
		// Before the try there is a question without an answer, so that Lowest does not pass the try.
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
	{"members change", func(w *world) { w.change() }},
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
	if !h.up() {
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

const (
	both = iota
	onlyIn
	onlyOut
)

// part cuts some hosts off from all others, and some clients with them or from them.
func (w *world) part(some []*host, how int) {
	inside := map[int]bool{}
	for _, h := range some {
		inside[h.place] = true
	}
	for _, c := range w.clients {
		inside[c.place] = w.rng.IntN(2) == 0
	}
	var ways []way
	for a := range w.places {
		for b := range w.places {
			if inside[a] && !inside[b] {
				if how != onlyIn {
					ways = append(ways, way{a, b})
				}
				if how != onlyOut {
					ways = append(ways, way{b, a})
				}
			}
		}
	}
	w.sever(ways)
	// Some clients notice at once that they are on the other side.
	for _, c := range w.clients {
		if c.line != nil && inside[c.place] != inside[c.line.host.place] && w.rng.IntN(2) == 0 {
			c.hangUp()
			c.connect()
		}
	}
}

// ring leaves each host only its neighbours; of three, two do not see each other.
func (w *world) ring() {
	n := len(w.hosts)
	start := w.rng.IntN(n)
	var ways []way
	for i := range n {
		for j := range n {
			if d := (i - j + n) % n; d > 1 && d < n-1 || n == 3 && i != j && i != start && j != start {
				ways = append(ways, way{w.hosts[i].place, w.hosts[j].place})
			}
		}
	}
	w.sever(ways)
}

func (w *world) sever(ways []way) { w.severFor(ways, w.some(200*time.Millisecond, 4*time.Second)) }

func (w *world) severFor(ways []way, d time.Duration) {
	mend := w.network.sever(ways)
	w.after(d, func() {
		if !w.calm {
			mend()
		}
	})
}

// change replaces, adds or removes a member, as an operator would: until it is done, or it
// becomes clear that it will not be.
func (w *world) change() {
	h := w.leader()
	if h == nil || w.changing {
		return
	}
	book := h.member.Members()
	var c member.Change
	kind := w.rng.IntN(3)
	if kind != 0 && len(book) > 2 {
		c.Remove = []uint64{book[w.rng.IntN(len(book))].ID}
	}
	if (kind != 1 || len(c.Remove) == 0) && len(w.hosts) < mostHosts {
		n := w.newHost(true)
		c.Add = append(c.Add, n.self)
		n.start()
	}
	if len(c.Add)+len(c.Remove) == 0 {
		return
	}
	w.changing = true
	w.trace.line("operator: add %v, remove %v", c.Add, c.Remove)
	w.operate(c, 20)
}

// mostHosts is how many machines a world has at most.
const mostHosts = 8

// operate asks for a change until it is in force. An operator gives up after a while, but not
// when all is well again.
func (w *world) operate(c member.Change, tries int) {
	if !w.changing {
		return
	}
	h := w.leader()
	if tries == 0 && !w.calm {
		// Whoever was added stays what it is, as a learner or not even that.
		w.changing = false
		if h != nil {
			h.input(h.life, func() { h.member.Abandon() })
		}
		return
	}
	if h != nil {
		h.input(h.life, func() {
			if done(h.member, c) {
				w.changing = false
				w.changes++
				w.trace.line("operator: done")
			} else if err := h.member.Change(c); err != nil {
				w.trace.line("operator: %v", err)
			}
		})
	}
	w.after(w.some(200*time.Millisecond, 600*time.Millisecond), func() { w.operate(c, max(tries-1, 0)) })
}

// done reports whether a change is in force.
func done(m *member.Member, c member.Change) bool {
	s := m.Status()
	if !s.Serving || s.Change != "" {
		return false
	}
	voters := map[uint64]bool{}
	for _, p := range s.Members {
		voters[p.ID] = p.Voter
	}
	for _, a := range c.Add {
		if !voters[a.ID] {
			return false
		}
	}
	for _, id := range c.Remove {
		if voters[id] {
			return false
		}
	}
	return true
}
