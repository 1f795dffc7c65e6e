package session

import "github.com/fencelock/fencelock/backend/raftlocal/internal/command"

// EventKind is what has happened.
type EventKind uint8

// The kinds.
const (
	Done    EventKind = iota + 1 // a call has its reply
	Unknown                      // a call may have been carried out or not, and nobody will ever tell
	Pushed                       // a push about a claim
	Opened                       // there is a new session: what concerned the one before must be asked for again
)

// Event is what the caller of a session must know.
type Event struct {
	Kind  EventKind
	Call  *Call         // Done, Unknown
	Reply command.Reply // Done
	Claim command.Claim // Pushed
}

// Receive handles what has come on the connection: answers, and then pushes. The events are
// in the same order, and valid until the next call.
func (s *Session) Receive(answers []command.Answer, pushes []command.Push) []Event {
	s.events = s.events[:0]
	for i := range answers {
		a := &answers[i]
		switch {
		case a.Session == 0:
			s.opened(a)
		case s.instance != nil && a.Session == s.instance.number:
			s.answered(s.instance, a)
		case s.former != nil && a.Session == s.former.number:
			s.answered(s.former, a)
		}
	}
	for i := range pushes {
		s.events = append(s.events, Event{Kind: Pushed, Claim: pushes[i].Claim})
	}
	return s.events
}

// opened is the answer to Open. One that was not asked for, or for another, is old.
func (s *Session) opened(a *command.Answer) {
	if a.ID != s.opening || s.instance != nil || s.opening == (command.SessionID{}) {
		return
	}
	s.opening, s.asked = command.SessionID{}, false
	if a.Reply.Code != command.OK || a.Reply.Number == 0 {
		// The state machine does not take it: all that waits has the same reply, since it
		// would be refused with any other name as well.
		for c := s.queue.first; c != nil; c = s.queue.first {
			s.queue.remove(c)
			s.done(c, &a.Reply)
		}
		return
	}
	s.instance = newLine(a.Reply.Number)
	s.events = append(s.events, Event{Kind: Opened})
}

// answered is the answer to a command of a session. To one that is not under way any more, it
// is nothing.
func (s *Session) answered(l *instance, a *command.Answer) {
	c := l.at(a.Seq)
	if c == nil {
		return
	}
	switch a.Reply.Code {
	case command.SessionGone:
		s.ended(l)
		l.remove(c)
		if c.Times > 1 && !c.Command.Op.ReadOnly() {
			s.unknown(c)
			break
		}
		c.Times = 0
		s.queue.restore(c)
	case command.Done:
		// Lowest has passed it although nobody has given it up: that cannot be, and if it
		// is, nobody knows what was done.
		l.remove(c)
		s.unknown(c)
	default:
		l.remove(c)
		s.done(c, &a.Reply)
	}
	s.settled(l)
}

// ended notes that a session has ended. Another is opened when it is needed.
func (s *Session) ended(l *instance) {
	if l != s.instance {
		return
	}
	s.instance = nil
	s.giveUpFormer() // it ended before this one was opened, and its answers are overdue
	s.former = l
}

func (s *Session) done(c *Call, r *command.Reply) {
	s.events = append(s.events, Event{Kind: Done, Call: c, Reply: *r})
}

func (s *Session) unknown(c *Call) {
	s.events = append(s.events, Event{Kind: Unknown, Call: c})
}
