package machine

import (
	"strings"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// claim is what one attempt has at a key. The first of a queue holds, the others wait.
type claim struct {
	number  uint64
	session uint64 // who made it, or last renewed it: who is told what becomes of it
	token   uint64 // 0 while it waits
	ttl     time.Duration
	place   int   // in Machine.overdue, where its deadline is
	waited  int64 // while it is unheard: until when it was to wait; or 0
	silent  int   // and its place in Machine.unheard
	owner   string
	meta    string

	queue      *queue
	next, prev *claim
}

// code is how the claim stands.
func (c *claim) code() command.Code {
	if c.token == 0 {
		return command.Waiting
	}
	return command.Granted
}

// add puts a new claim to the end of the queue of its key.
func (m *Machine) add(cmd *command.Command, q *queue) *claim {
	key := ""
	if q == nil {
		key = cmd.Key
	}
	key, owner, meta := own(key, cmd.Owner, cmd.Meta)
	if q == nil {
		q = m.spare.queue()
		q.key = key
		m.queues[key] = q
	}
	c := m.spare.claim()
	c.number, c.session, c.ttl, c.owner, c.meta = m.give(), cmd.Session, cmd.TTL, owner, meta
	m.link(q, c, m.after(int64(cmd.TTL)))
	return c
}

// link puts a claim to the end of a queue and into all that leads to it.
func (m *Machine) link(q *queue, c *claim, deadline int64) {
	m.claims[c.number] = c
	m.arrivals.add(c)
	m.overdue.add(deadline, c.number, &c.place)
	m.lengths.change(q.length, q.length+1)
	q.push(c)
}

// remove ends a claim. If it held the key, the next has it.
func (m *Machine) remove(c *claim) {
	q, held := c.queue, c.token != 0
	m.hear(c)
	delete(m.claims, c.number)
	m.arrivals.remove(c.number)
	m.overdue.remove(c.place)
	m.lengths.change(q.length, q.length-1)
	q.remove(c)
	m.spare.keepClaim(c)
	switch next := q.first; {
	case next == nil:
		delete(m.queues, q.key)
		m.spare.keepQueue(q)
	case held:
		m.grant(next)
		m.unhear(next)
		m.overdue.move(next.place, m.after(int64(next.ttl)))
		m.push(next, command.Granted)
	}
}

// own returns strings in memory of their own: those of a command share it with the whole
// batch, which would live as long as the claim.
func own(key, owner, meta string) (_, _, _ string) {
	var b strings.Builder
	b.Grow(len(key) + len(owner) + len(meta))
	b.WriteString(key)
	b.WriteString(owner)
	b.WriteString(meta)
	all := b.String()
	return all[:len(key)], all[len(key) : len(key)+len(owner)], all[len(key)+len(owner):]
}

// renewed moves the deadline of a claim on behalf of a session.
func (m *Machine) renewed(c *claim, session uint64) {
	c.session = session
	m.hear(c)
	m.overdue.move(c.place, m.after(int64(c.ttl)))
}

// push tells the session of a claim what has become of it.
func (m *Machine) push(c *claim, code command.Code) {
	m.outcome.Pushes = append(m.outcome.Pushes, command.Push{
		Session: c.session,
		Claim:   command.Claim{Number: c.number, Code: code, Token: c.token},
	})
}
