package session

import "github.com/fencelock/fencelock/backend/raftlocal/internal/command"

// line is what was sent to one session and has no answer: a window of numbers, of which
// command.MaxOutstanding are under way at most.
type line struct {
	number uint64 // of the session
	lowest uint64 // the first that is under way; next if there is none
	next   uint64 // the next to be given out
	cursor uint64 // from here on nothing was sent on this connection
	ring   []*Call
	flying int
}

func newLine(number uint64) *line {
	return &line{number: number, lowest: 1, next: 1, cursor: 1, ring: make([]*Call, 64)}
}

func (l *line) slot(seq uint64) **Call { return &l.ring[seq%uint64(len(l.ring))] }

// full reports whether no more may be under way.
func (l *line) full() bool { return l.next-l.lowest >= command.MaxOutstanding }

// add gives a call the next number.
func (l *line) add(c *Call) {
	if l.next-l.lowest == uint64(len(l.ring)) {
		larger := make([]*Call, 2*len(l.ring))
		for seq := l.lowest; seq < l.next; seq++ {
			larger[seq%uint64(len(larger))] = *l.slot(seq)
		}
		l.ring = larger
	}
	c.Command.Session, c.Command.Seq = l.number, l.next
	c.state, c.line = flying, l
	*l.slot(l.next) = c
	l.next++
	l.flying++
}

// at returns the call of a number, or nil.
func (l *line) at(seq uint64) *Call {
	if seq < l.lowest || seq >= l.next {
		return nil
	}
	return *l.slot(seq)
}

// remove takes a call out: it is answered, or nobody waits for it any more.
func (l *line) remove(c *Call) {
	*l.slot(c.Command.Seq) = nil
	c.state, c.line = idle, nil
	l.flying--
	for l.lowest < l.next && *l.slot(l.lowest) == nil {
		l.lowest++
	}
	l.cursor = max(l.cursor, l.lowest)
}
