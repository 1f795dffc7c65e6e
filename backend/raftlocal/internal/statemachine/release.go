package statemachine

import "github.com/fencelock/fencelock/backend/raftlocal/internal/command"

// release ends the claim of an owner, or of a number if there is one: OK if it was a grant,
// and NotHeld if it waited or there is none.
func (m *Machine) release(cmd *command.Command, r *command.Reply) {
	r.Code = command.NotHeld
	var c *claim
	if len(cmd.Claims) > 0 {
		c = m.claims[cmd.Claims[0]]
	} else if q := m.queues[cmd.Key]; q != nil {
		c = q.find(cmd.Owner)
	}
	if c == nil {
		return
	}
	if c.token != 0 {
		r.Code = command.OK
	}
	m.remove(c)
}

// evict ends the grant of a key, whosever it is, and tells the session that had it.
func (m *Machine) evict(cmd *command.Command, r *command.Reply) {
	q := m.queues[cmd.Key]
	if q == nil {
		r.Code = command.NotHeld
		return
	}
	r.Code = command.OK
	m.push(q.first, command.Evicted)
	m.remove(q.first)
}
