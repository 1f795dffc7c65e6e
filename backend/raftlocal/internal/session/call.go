package session

import (
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// Call is one command on its way. Its maker fills in Command, without its numbers, and
// For, and reads the others when there is an event for it. It must not be used again before.
type Call struct {
	Command command.Command
	For     any // the caller's own

	// Sent is when it was first sent, by the time that Outgoing was told: it was not carried
	// out before. Zero if it was not sent.
	Sent time.Duration
	// Times is on how many connections it was sent. The answer to one that was sent twice may
	// be the answer to its first copy, and tell of a past that is over.
	Times int

	order      uint64 // of Do
	state      state
	instance   *instance
	prev, next *Call // while it waits
}

// Over reports whether the call waits for no event: it has had one, or was cancelled.
func (c *Call) Over() bool { return c.state == idle }

// state is where a call is.
type state uint8

const (
	idle    state = iota // not known to a session, or over
	waiting              // in the queue, not sent
	flying               // sent, no answer
)

// queue is the calls that wait, in the order of Do. Taking one out costs the same wherever it
// is, since most that wait while no member answers are cancelled.
type queue struct {
	first, last *Call
	length      int
}

func (q *queue) push(c *Call) { q.insert(c, q.last) }

// restore puts a call that was taken out back to its place, which is near the front.
func (q *queue) restore(c *Call) {
	var before *Call
	for after := q.first; after != nil && after.order < c.order; after = after.next {
		before = after
	}
	q.insert(c, before)
}

// insert puts a call behind another, or to the front if that is nil.
func (q *queue) insert(c, before *Call) {
	c.state, c.prev, c.next = waiting, before, q.first
	if before != nil {
		c.next = before.next
		before.next = c
	} else {
		q.first = c
	}
	if c.next != nil {
		c.next.prev = c
	} else {
		q.last = c
	}
	q.length++
}

func (q *queue) remove(c *Call) {
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		q.first = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	} else {
		q.last = c.prev
	}
	c.state, c.prev, c.next = idle, nil, nil
	q.length--
}

// instance is what was sent to one session and has no answer: a window of numbers, of which
// command.MaxOutstanding are under way at most.
type instance struct {
	number uint64 // of the session
	lowest uint64 // the first that is under way; next if there is none
	next   uint64 // the next to be given out
	cursor uint64 // from here on nothing was sent on this connection
	ring   []*Call
	flying int
}

func newLine(number uint64) *instance {
	return &instance{number: number, lowest: 1, next: 1, cursor: 1, ring: make([]*Call, 64)}
}

func (l *instance) slot(seq uint64) **Call { return &l.ring[seq%uint64(len(l.ring))] }

// full reports whether no more may be under way.
func (l *instance) full() bool { return l.next-l.lowest >= command.MaxOutstanding }

// add gives a call the next number.
func (l *instance) add(c *Call) {
	if l.next-l.lowest == uint64(len(l.ring)) {
		larger := make([]*Call, 2*len(l.ring))
		for seq := l.lowest; seq < l.next; seq++ {
			larger[seq%uint64(len(larger))] = *l.slot(seq)
		}
		l.ring = larger
	}
	c.Command.Session, c.Command.Seq = l.number, l.next
	c.state, c.instance = flying, l
	*l.slot(l.next) = c
	l.next++
	l.flying++
}

// at returns the call of a number, or nil.
func (l *instance) at(seq uint64) *Call {
	if seq < l.lowest || seq >= l.next {
		return nil
	}
	return *l.slot(seq)
}

// remove takes a call out: it is answered, or nobody waits for it any more.
func (l *instance) remove(c *Call) {
	*l.slot(c.Command.Seq) = nil
	c.state, c.instance = idle, nil
	l.flying--
	for l.lowest < l.next && *l.slot(l.lowest) == nil {
		l.lowest++
	}
	l.cursor = max(l.cursor, l.lowest)
}
