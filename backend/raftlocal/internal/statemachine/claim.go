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
	index     int   // in locks.overdue, where its deadline is
	waited    int64 // while it is unheard: until when it was to wait; or 0
	silent    int   // and its index in locks.unheard
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

// locks are the claims of all keys.
type locks struct {
	*numbers
	outcome *Outcome

	queues   map[string]*queue // of the keys that have claims
	claims   map[uint64]*claim
	arrivals arrivals  // of claims; not part of the state
	overdue  deadlines // of claims
	unheard  deadlines // see there; not part of the state
	lengths  queueLengths
	most     int // claims, since memory was given back
	free     freeList
}

// add puts a new claim to the end of the queue of its key.
func (l *locks) add(cmd *command.Command, q *queue) *claim {
	key := ""
	if q == nil {
		key = cmd.Key
	}
	key, attemptID, meta := cloneStrings(key, cmd.AttemptID, cmd.Meta)
	if q == nil {
		q = l.free.queue()
		q.key = key
		l.queues[key] = q
	}
	c := l.free.claim()
	c.number, c.session, c.ttl, c.attemptID, c.meta = l.give(), cmd.Session, cmd.TTL, attemptID, meta
	l.link(q, c, l.after(int64(cmd.TTL)))
	return c
}

// link puts a claim to the end of a queue and into all that leads to it.
func (l *locks) link(q *queue, c *claim, deadline int64) {
	l.claims[c.number] = c
	l.arrivals.add(c)
	l.overdue.add(deadline, c.number, &c.index)
	l.lengths.change(q.length, q.length+1)
	q.push(c)
}

// remove ends a claim. If it held the key, the next has it.
func (l *locks) remove(c *claim) {
	q, held := c.queue, c.token != 0
	l.hear(c)
	delete(l.claims, c.number)
	l.arrivals.remove(c.number)
	l.overdue.remove(c.index)
	l.lengths.change(q.length, q.length-1)
	q.remove(c)
	l.free.keepClaim(c)
	switch next := q.first; {
	case next == nil:
		delete(l.queues, q.key)
		l.free.keepQueue(q)
	case held:
		l.grant(next)
		l.unhear(next)
		l.overdue.move(next.index, l.after(int64(next.ttl)))
		l.push(next, command.Granted)
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
func (l *locks) renewed(c *claim, session uint64) {
	c.session = session
	l.hear(c)
	l.overdue.move(c.index, l.after(int64(c.ttl)))
}

// push tells the session of a claim what has become of it.
func (l *locks) push(c *claim, code command.Code) {
	l.outcome.Pushes = append(l.outcome.Pushes, command.Push{
		Session: c.session,
		Claim:   command.Claim{Number: c.number, Code: code, Token: c.token},
	})
}

// acquire takes the lock for an attempt, or a position in the queue. For an attempt that has a claim
// it tells how that stands, and the asking session is told what becomes of it from now on. That
// renews a claim that waits, since a waiter that asks is alive. It does not renew a grant:
// the client that gets the answer counts the lease from an earlier request.
func (l *locks) acquire(cmd *command.Command, r *command.Reply) {
	q := l.queues[cmd.Key]
	if q != nil {
		if c := q.find(cmd.AttemptID); c != nil {
			if c.token == 0 {
				l.renewed(c, cmd.Session)
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
	c := l.add(cmd, q)
	if c.queue.first == c {
		l.grant(c)
	}
	r.Code, r.Number, r.Token = c.code(), c.number, c.token
}

// release ends the claim of an attempt, or of a number if there is one: OK if it was a grant,
// and NotHeld if it waited or there is none.
func (l *locks) release(cmd *command.Command, r *command.Reply) {
	r.Code = command.NotHeld
	var c *claim
	if len(cmd.Claims) > 0 {
		c = l.claims[cmd.Claims[0]]
	} else if q := l.queues[cmd.Key]; q != nil {
		c = q.find(cmd.AttemptID)
	}
	if c == nil {
		return
	}
	if c.token != 0 {
		r.Code = command.OK
	}
	l.remove(c)
}

// evict ends the grant of a key, whosever it is, and tells the session that had it.
func (l *locks) evict(cmd *command.Command, r *command.Reply) {
	q := l.queues[cmd.Key]
	if q == nil {
		r.Code = command.NotHeld
		return
	}
	r.Code = command.OK
	l.push(q.first, command.Evicted)
	l.remove(q.first)
}

// renew extends claims, and tells how each stands. What has ended stays so.
func (l *locks) renew(cmd *command.Command, r *command.Reply) {
	r.Code = command.OK
	if len(cmd.Claims) == 0 {
		return
	}
	r.Claims = make([]command.Claim, len(cmd.Claims))
	for i, number := range cmd.Claims {
		r.Claims[i] = command.Claim{Number: number, Code: command.NotHeld}
		if c := l.claims[number]; c != nil {
			l.renewed(c, cmd.Session)
			r.Claims[i].Code, r.Claims[i].Token = c.code(), c.token
		}
	}
}

// grant gives a claim its token, above that of all grants before, of all keys.
func (l *locks) grant(c *claim) {
	l.token = max(l.token+1, l.base+l.index)
	c.token = l.token
}

// expire ends the claims whose deadline has come, the earliest first.
//
// Several may be overdue at once, a holder and those behind it. One that waits and was to end
// before the holder ends before it, and is granted nothing. One that was to end after the
// holder was alive when the lock should have become free, so it has it, for its whole TTL
// from now.
func (l *locks) expire() {
	for {
		number, ok := l.overdue.due(l.clock)
		if !ok {
			return
		}
		c := l.claims[number]
		l.push(c, command.Expired)
		l.remove(c)
	}
}
