package statemachine

import (
	"strings"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// claim is what one attempt has at a key. The first of a queue holds, the others wait.
type claim struct {
	number    uint64
	session   uint64 // who made it, or last renewed it: who is told what becomes of it
	token     uint64 // 0 while it waits
	ttl       time.Duration
	index     int   // in Machine.overdue, where its deadline is
	waited    int64 // while it is unheard: until when it was to wait; or 0
	silent    int   // and its index in Machine.unheard
	attemptID string
	meta      string

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
	key, attemptID, meta := cloneStrings(key, cmd.AttemptID, cmd.Meta)
	if q == nil {
		q = m.free.queue()
		q.key = key
		m.queues[key] = q
	}
	c := m.free.claim()
	c.number, c.session, c.ttl, c.attemptID, c.meta = m.give(), cmd.Session, cmd.TTL, attemptID, meta
	m.link(q, c, m.after(int64(cmd.TTL)))
	return c
}

// link puts a claim to the end of a queue and into all that leads to it.
func (m *Machine) link(q *queue, c *claim, deadline int64) {
	m.claims[c.number] = c
	m.arrivals.add(c)
	m.overdue.add(deadline, c.number, &c.index)
	m.lengths.change(q.length, q.length+1)
	q.push(c)
}

// remove ends a claim. If it held the key, the next has it.
func (m *Machine) remove(c *claim) {
	q, held := c.queue, c.token != 0
	m.hear(c)
	delete(m.claims, c.number)
	m.arrivals.remove(c.number)
	m.overdue.remove(c.index)
	m.lengths.change(q.length, q.length-1)
	q.remove(c)
	m.free.keepClaim(c)
	switch next := q.first; {
	case next == nil:
		delete(m.queues, q.key)
		m.free.keepQueue(q)
	case held:
		m.grant(next)
		m.unhear(next)
		m.overdue.move(next.index, m.after(int64(next.ttl)))
		m.push(next, command.Granted)
	}
}

// cloneStrings returns strings in memory of their own: those of a command share it with the whole
// batch, which would live as long as the claim.
func cloneStrings(key, attemptID, meta string) (_, _, _ string) {
	var b strings.Builder
	b.Grow(len(key) + len(attemptID) + len(meta))
	b.WriteString(key)
	b.WriteString(attemptID)
	b.WriteString(meta)
	all := b.String()
	return all[:len(key)], all[len(key) : len(key)+len(attemptID)], all[len(key)+len(attemptID):]
}

// renewed moves the deadline of a claim on behalf of a session.
func (m *Machine) renewed(c *claim, session uint64) {
	c.session = session
	m.hear(c)
	m.overdue.move(c.index, m.after(int64(c.ttl)))
}

// push tells the session of a claim what has become of it.
func (m *Machine) push(c *claim, code command.Code) {
	m.outcome.Pushes = append(m.outcome.Pushes, command.Push{
		Session: c.session,
		Claim:   command.Claim{Number: c.number, Code: code, Token: c.token},
	})
}

// acquire takes the lock for an attempt, or a position in the queue. For an attempt that has a claim
// it tells how that stands, and the asking session is told what becomes of it from now on. That
// renews a claim that waits, since a waiter that asks is alive. It does not renew a grant:
// the client that gets the answer counts the lease from an earlier request.
func (m *Machine) acquire(cmd *command.Command, r *command.Reply) {
	q := m.queues[cmd.Key]
	if q != nil {
		if c := q.find(cmd.AttemptID); c != nil {
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

// release ends the claim of an attempt, or of a number if there is one: OK if it was a grant,
// and NotHeld if it waited or there is none.
func (m *Machine) release(cmd *command.Command, r *command.Reply) {
	r.Code = command.NotHeld
	var c *claim
	if len(cmd.Claims) > 0 {
		c = m.claims[cmd.Claims[0]]
	} else if q := m.queues[cmd.Key]; q != nil {
		c = q.find(cmd.AttemptID)
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

// renew extends claims, and tells how each stands. What has ended stays so.
func (m *Machine) renew(cmd *command.Command, r *command.Reply) {
	r.Code = command.OK
	if len(cmd.Claims) == 0 {
		return
	}
	r.Claims = make([]command.Claim, len(cmd.Claims))
	for i, number := range cmd.Claims {
		r.Claims[i] = command.Claim{Number: number, Code: command.NotHeld}
		if c := m.claims[number]; c != nil {
			m.renewed(c, cmd.Session)
			r.Claims[i].Code, r.Claims[i].Token = c.code(), c.token
		}
	}
}

// grant gives a claim its token, above that of all grants before, of all keys.
func (m *Machine) grant(c *claim) {
	m.token = max(m.token+1, m.base+m.index)
	c.token = m.token
}

// RaiseTokens is for a state that a new cluster begins with, whose log begins again: tokens
// will be above base. So will the numbers of claims and sessions: a cluster that was in this
// one's place may have given numbers, also after a backup was taken of it, and a client that has one must
// not be taken for somebody else.
//
// It adds nothing to a base that is high enough, so that a base which is the time keeps all numbers below
// the time, and the next such base is above them.
func (m *Machine) RaiseTokens(base uint64) {
	m.base = max(m.base, base)
	m.number = max(m.number, base)
}

// Highest is at least as high as each token and each number that was given, up to the entry of an index, the
// last that the state has. A state does not know its index.
func (m *Machine) Highest(index uint64) uint64 { return max(m.token, m.base+index, m.number) }

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
		number, ok := m.expiring.due(m.clock)
		if !ok {
			break
		}
		m.end(m.sessions[number])
	}
}
