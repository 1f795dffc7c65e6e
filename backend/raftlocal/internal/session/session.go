// Package session is the client's side of a session: it numbers commands, sends again what
// has no answer when there is a new connection, and opens another session when the one it
// had has ended. It has no goroutine, no clock and no connection of its own; whoever has these
// calls it, from one goroutine at a time. So a simulation runs the very code that clients run.
//
// # A command is carried out once, or it is said that nobody knows
//
// As long as the session lives, the state machine keeps the reply to a command until Lowest of
// a later one says that it has arrived. So a command may be sent on one connection after
// another, with its number, and is carried out once.
//
// When the session has ended, nothing of it is carried out any more. A command that is then
// answered with command.SessionGone, and was sent on one connection only, existed in one copy,
// and that copy has just found no session: it was not carried out, and goes to the next session
// as if nothing had happened. This is what happens to a client that wakes up after a long
// sleep. If it was sent twice, the first copy may have been carried out while the session lived:
// its event is Unknown, and only who asked can tell what to do.
//
// # Order
//
// Commands are carried out in the order in which Do was called, but those that are answered
// without the log may be later. A command that goes to the next session goes before
// all that was not sent yet, and nothing is sent there until all that was sent to the
// former one has been answered or given up: so neither changes the order.
//
// # Giving up
//
// A command that is cancelled before it was sent never is. If it was sent, its answer is
// ignored, Lowest passes it, and it is not sent again: a later command of the session that is
// carried out keeps every late copy of it out.
package session

import (
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// Session is a client's. It is one for the client although, over time, it may be several for
// the state machine. Not safe for concurrent use.
type Session struct {
	id  func() command.SessionID
	ttl time.Duration

	orders uint64 // calls of Do so far
	queue  queue

	connected bool
	opening   command.SessionID // of the session that is being opened; zero if none is
	asked     bool              // and that was sent on this connection
	instance  *instance         // the session; nil if there is none
	former    *instance         // one that has ended, and to which something was sent that is not answered

	out    []command.Command
	events []Event
}

// New returns a session that is opened when it is needed. id makes a name for it that nobody
// else uses; ttl is how long it lives when it is not used.
func New(id func() command.SessionID, ttl time.Duration) *Session {
	return &Session{id: id, ttl: ttl}
}

// Do takes a command, to send it as soon as it can be.
func (s *Session) Do(cmd command.Command) *Call {
	c := &Call{Command: cmd}
	s.Start(c)
	return c
}

// Start is Do with a Call that the caller has made.
func (s *Session) Start(c *Call) {
	s.orders++
	c.order, c.Sent, c.Times = s.orders, 0, 0
	s.queue.push(c)
}

// Cancel tells that nobody waits for a call any more: there will be no event for it. It
// reports whether it is certain that the command was not carried out and never will be. For
// a call that is over it does nothing.
func (s *Session) Cancel(c *Call) (never bool) {
	switch c.state {
	case waiting:
		s.queue.remove(c)
		return true
	case flying:
		l := c.instance
		l.remove(c)
		s.settled(l)
	case idle:
	}
	return false
}

// Outstanding is how many calls wait for an event.
func (s *Session) Outstanding() int {
	n := s.queue.length
	if s.instance != nil {
		n += s.instance.flying
	}
	if s.former != nil {
		n += s.former.flying
	}
	return n
}

// Waiting is how many calls are not sent.
func (s *Session) Waiting() int { return s.queue.length }

// Oldest returns the call that has been waiting longest for an event, or nil.
func (s *Session) Oldest() *Call {
	oldest := s.queue.first
	for _, l := range []*instance{s.former, s.instance} {
		if l != nil && l.flying > 0 {
			if c := l.at(l.lowest); oldest == nil || c.order < oldest.order {
				oldest = c
			}
		}
	}
	return oldest
}

// Connected tells of a new connection, and returns the number of the session that goes on
// there, or 0. What has no answer will be sent again.
func (s *Session) Connected() (number uint64) {
	s.connected, s.asked = true, false
	if s.instance == nil {
		return 0
	}
	s.instance.cursor = s.instance.lowest
	return s.instance.number
}

// Disconnected tells that the connection is gone. The events are for what was sent to a
// session that has ended since: nobody will answer it any more. They are valid until the next
// call.
func (s *Session) Disconnected() []Event {
	s.connected = false
	s.events = s.events[:0]
	s.giveUpFormer()
	return s.events
}

// settled looks whether nothing is under way any more to a session that has ended.
func (s *Session) settled(l *instance) {
	if l == s.former && l.flying == 0 {
		s.former = nil
	}
}

// giveUpFormer gives up all that was sent to a session that has ended.
func (s *Session) giveUpFormer() {
	l := s.former
	if l == nil {
		return
	}
	s.former = nil
	for l.flying > 0 {
		c := l.at(l.lowest)
		l.remove(c)
		s.unknown(c)
	}
}

// Outgoing returns what is to be sent on this connection now, and notes that it was. Each
// command is returned once for a connection. The slice is valid until the next call.
func (s *Session) Outgoing(now time.Duration) []command.Command {
	s.out = s.out[:0]
	if !s.connected {
		return nil
	}
	if s.instance == nil {
		s.open()
		return s.out
	}
	l := s.instance
	for ; l.cursor < l.next; l.cursor++ {
		if c := l.at(l.cursor); c != nil {
			s.send(c, now)
		}
	}
	for s.former == nil && s.queue.first != nil && !l.full() {
		c := s.queue.first
		s.queue.remove(c)
		l.add(c)
		s.send(c, now)
		l.cursor = l.next
	}
	return s.out
}

// open asks for a session, if one is needed.
func (s *Session) open() {
	if s.queue.first == nil || s.asked {
		return
	}
	if s.opening == (command.SessionID{}) {
		s.opening = s.id()
	}
	s.asked = true
	s.out = append(s.out, command.Command{Op: command.Open, ID: s.opening, TTL: s.ttl})
}

func (s *Session) send(c *Call, now time.Duration) {
	if c.Times == 0 {
		c.Sent = now
	}
	c.Times++
	c.Command.Lowest = c.instance.lowest
	s.out = append(s.out, c.Command)
}
