package sim

import (
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// operator changes the members.
type operator struct {
	w        *world
	changing bool
	gaveUp   bool // a change may be in some log yet that nobody waits for
}

// change replaces, adds or removes a member, as an operator would: until it is done, or it
// becomes clear that it will not be.
func (o *operator) change() {
	w := o.w
	h := w.leader()
	if h == nil || o.changing || w.losses.lost != nil {
		return
	}
	book := h.member.Members()
	var c wish
	kind := w.rng.IntN(3)
	if kind != 0 && len(book) > 2 && w.losses.lost == nil {
		c.remove = []uint64{book[w.rng.IntN(len(book))].ID}
	}
	if (kind != 1 || len(c.remove) == 0) && len(w.hosts) < maxHosts {
		n := w.newHost(true)
		n.start()
		c.add = append(c.add, n.place)
	}
	if len(c.add)+len(c.remove) == 0 {
		return
	}
	o.changing = true
	w.trace.line("operator: add %v, remove %v", c.add, c.remove)
	o.operate(c, 20)
}

// wish is what an operator wants. Who is to be added is asked for its id each time, since it may
// have another directory by then.
type wish struct {
	add    []int // places
	remove []uint64
}

// changeFor is what a leader is asked to do for a wish, as it stands.
func (o *operator) changeFor(c wish, book []statemachine.Member) (do member.Change) {
	for _, place := range c.add {
		do.Add = append(do.Add, o.w.hosts[place].self)
	}
	for _, p := range book {
		// Under the name of one that is added there may be the directory that it had before.
		again := slices.ContainsFunc(do.Add, func(a statemachine.Member) bool { return a.Name == p.Name && a.ID != p.ID })
		if again || slices.Contains(c.remove, p.ID) {
			do.Remove = append(do.Remove, p.ID)
		}
	}
	return do
}

// maxHosts is how many machines a world has at most.
const maxHosts = 8

// operate asks for a change until it is in force. An operator gives up after a while, but not
// when all is well again.
func (o *operator) operate(c wish, tries int) {
	w := o.w
	if !o.changing {
		return
	}
	h := w.leader()
	if tries == 0 && !w.quiescent {
		// Whoever was added stays what it is, as a learner or not even that.
		o.changing, o.gaveUp = false, true
		if h != nil {
			h.input(h.life, func() { h.member.Abandon() })
		}
		return
	}
	if h != nil {
		h.input(h.life, func() {
			do := o.changeFor(c, h.member.Members())
			if done(h.member, do) {
				o.changing = false
				w.changes++
				w.trace.line("operator: done")
			} else if err := h.member.Change(do); err != nil {
				w.trace.line("operator: %v", err)
			}
		})
	}
	w.after(w.some(200*time.Millisecond, 600*time.Millisecond), func() { o.operate(c, max(tries-1, 0)) })
}
