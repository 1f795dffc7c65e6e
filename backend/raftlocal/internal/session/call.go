package session

import (
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// Call is one command on its way. Whoever makes it fills in Command, without its numbers, and
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
	line       *line
	prev, next *Call // while it waits
}

// Over reports whether the call waits for no event: it has had one, or was cancelled.
func (c *Call) Over() bool { return c.state == idle }

// Ticket names a call.
type Ticket = *Call

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
