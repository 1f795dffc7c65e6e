package statemachine

import "github.com/fencelock/fencelock/backend/raftlocal/internal/command"

// acquire takes the lock for an owner, or a place in the queue. For an owner that has a claim
// it tells how that stands, and whoever asks is told what becomes of it from now on. That
// renews a claim that waits, since a waiter that asks is alive. It does not renew a grant:
// whoever gets the answer counts the lease from an earlier request.
func (m *Machine) acquire(cmd *command.Command, r *command.Reply) {
	q := m.queues[cmd.Key]
	if q != nil {
		if c := q.find(cmd.Owner); c != nil {
			if c.token == 0 {
				m.renewed(c, cmd.Session)
			}
			c.session = cmd.Session
			r.Code, r.Number, r.Token = c.code(), c.number, c.token
			return
		}
		if !cmd.Wait {
			r.Code = command.Held
			return
		}
	}
	c := m.add(cmd, q)
	if c.queue.first == c {
		m.grant(c)
	}
	r.Code, r.Number, r.Token = c.code(), c.number, c.token
}
