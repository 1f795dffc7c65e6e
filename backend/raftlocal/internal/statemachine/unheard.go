package statemachine

import "slices"

// A claim that was granted after waiting is unheard until it is renewed. Its TTL counts from the
// grant, by the rules of the state. But whoever has it cannot hold longer than it was to wait: it
// learns of the grant by a push, and counts from when it last sent a renewal that was answered
// with "waiting". Only a renewal gives it more, and then it is heard. So one that is unheard when
// it was to end as a waiter may be ended, in favour of the next. That is for the leader to
// propose, who knows what else is on its way: see package member. Nothing of it is in the state, so
// members of all builds stay in step, and one that began from a snapshot merely knows less.

// unhear notes that a claim is about to be granted after waiting.
func (m *Machine) unhear(c *claim) {
	c.waited = m.overdue[c.place].at
	m.unheard.add(c.waited, c.number, &c.silent)
}

// hear notes that a claim is renewed, or ends.
func (m *Machine) hear(c *claim) {
	if c.waited != 0 {
		m.unheard.remove(c.silent)
		c.waited = 0
	}
}

// Unheard returns the numbers of claims that are unheard, and were to end by a time of the clock as
// waiters; so many at most.
func (m *Machine) Unheard(now int64, most int) (numbers []uint64) {
	if at, some := m.unheard.first(); !some || at > now {
		return nil
	}
	for _, d := range m.unheard {
		if d.at <= now {
			numbers = append(numbers, d.number)
		}
	}
	slices.Sort(numbers) // their order in the heap depends on the past
	return numbers[:min(len(numbers), most)]
}

// StillUnheard reports whether a claim is.
func (m *Machine) StillUnheard(number uint64) bool {
	c := m.claims[number]
	return c != nil && c.waited != 0
}
