package statemachine

import (
	"slices"
)

// deadlines is a heap of those who have a deadline, each with a number of its own; the first is
// the one whose deadline, and then number, is the least. Which order the others have depends on
// the past, so nobody may look at it.
type deadlines []deadline

type deadline struct {
	at     int64
	number uint64
	index  *int // where it is in the heap, kept by the owner of the deadline
}

func (d deadline) before(o deadline) bool {
	return d.at < o.at || d.at == o.at && d.number < o.number
}

// first returns the earliest deadline.
func (h deadlines) first() (at int64, ok bool) {
	if len(h) == 0 {
		return 0, false
	}
	return h[0].at, true
}

// due returns the number of the first whose deadline has come.
func (h deadlines) due(now int64) (number uint64, ok bool) {
	if len(h) == 0 || h[0].at > now {
		return 0, false
	}
	return h[0].number, true
}

func (h *deadlines) add(at int64, number uint64, index *int) {
	*h = append(*h, deadline{at, number, index})
	h.up(len(*h) - 1)
}

// move gives a later deadline, or the same, to the one at an index. It is never an earlier one,
// since the clock does not go back and a TTL does not change.
func (h deadlines) move(index int, at int64) {
	if h[index].at != at {
		h[index].at = at
		h.down(index)
	}
}

func (h *deadlines) remove(index int) {
	last := len(*h) - 1
	moved := (*h)[last]
	(*h)[last] = deadline{}
	*h = (*h)[:last]
	if index == last {
		return
	}
	h.put(index, moved)
	h.down(index)
	h.up(*moved.index)
}

func (h deadlines) put(index int, d deadline) {
	h[index] = d
	*d.index = index
}

func (h deadlines) up(index int) {
	d := h[index]
	for index > 0 {
		parent := (index - 1) / 2
		if !d.before(h[parent]) {
			break
		}
		h.put(index, h[parent])
		index = parent
	}
	h.put(index, d)
}

func (h deadlines) down(index int) {
	d := h[index]
	for {
		child := 2*index + 1
		if child >= len(h) {
			break
		}
		if child+1 < len(h) && h[child+1].before(h[child]) {
			child++
		}
		if !h[child].before(d) {
			break
		}
		h.put(index, h[child])
		index = child
	}
	h.put(index, d)
}

// A claim that was granted after waiting is unheard until it is renewed. Its TTL counts from the
// grant, by the rules of the state. But its holder cannot hold longer than it was to wait: it
// learns of the grant by a push, and counts from when it last sent a renewal that was answered
// with "waiting". Only a renewal gives it more, and then it is heard. So one that is unheard when
// it was to end as a waiter may be ended, in favour of the next. That is for the leader to
// propose, who knows what else is on its way: see package member. Nothing of it is in the state, so
// members of all builds stay in step, and one that began from a snapshot merely knows less.

// unhear notes that a claim is about to be granted after waiting.
func (l *locks) unhear(c *claim) {
	c.waited = l.overdue[c.index].at
	l.unheard.add(c.waited, c.number, &c.silent)
}

// hear notes that a claim is renewed, or ends.
func (l *locks) hear(c *claim) {
	if c.waited != 0 {
		l.unheard.remove(c.silent)
		c.waited = 0
	}
}

// Unheard returns the numbers of claims that are unheard, and were to end by a time of the clock as
// waiters; so many at most.
func (m *Machine) Unheard(now int64, most int) (numbers []uint64) {
	if at, some := m.locks.unheard.first(); !some || at > now {
		return nil
	}
	for _, d := range m.locks.unheard {
		if d.at <= now {
			numbers = append(numbers, d.number)
		}
	}
	slices.Sort(numbers) // their order in the heap depends on the past
	return numbers[:min(len(numbers), most)]
}
