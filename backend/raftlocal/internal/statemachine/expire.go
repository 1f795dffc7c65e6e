package statemachine

import "github.com/fencelock/fencelock/backend/raftlocal/internal/command"

// expire ends the claims whose deadline has come, the earliest first, and then such sessions.
//
// Several may be overdue at once, a holder and those behind it. One that waits and was to end
// before the holder ends before it, and is granted nothing. One that was to end after the
// holder was alive when the lock should have become free, so it has it, for its whole TTL
// from now.
func (m *Machine) expire() {
	for {
		number, ok := m.overdue.due(m.clock)
		if !ok {
			break
		}
		c := m.claims[number]
		m.push(c, command.Expired)
		m.remove(c)
	}
	for {
		number, ok := m.lapsing.due(m.clock)
		if !ok {
			break
		}
		m.end(m.sessions[number])
	}
}
