package sim

import (
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/machine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
)

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
			// It was planned on what an old leader thought.
			book := h.member.Members()
			c.Remove = slices.DeleteFunc(c.Remove, func(id uint64) bool {
				return !slices.ContainsFunc(book, func(m machine.Member) bool { return m.ID == id })
			})
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
