package machine

import (
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// Machine is the state machine. It is not safe for concurrent use.
type Machine struct {
	clock   int64  // nanoseconds of the cluster's time
	token   uint64 // of the last grant
	base    uint64 // what a token is above the index of its entry, at least
	number  uint64 // the last that was given to a claim or a session
	members []Member

	queues   map[string]*queue // of the keys that have claims
	claims   map[uint64]*claim
	arrivals arrivals  // of claims; not part of the state
	overdue  deadlines // of claims
	unheard  deadlines // see there; not part of the state
	lengths  lengths
	sessions map[uint64]*session
	names    map[command.SessionID]*session
	lapsing  deadlines // of sessions
	most     int       // claims, since memory was given back

	index   uint64 // of the entry that is being applied
	outcome Outcome
	spare   spare
}

// Outcome is what an entry has brought about.
type Outcome struct {
	Answers []command.Answer // to the commands, in their order
	Pushes  []command.Push   // in the order in which things happened
}

// New returns the state that a cluster of these members begins with.
func New(members []Member) *Machine {
	m := empty()
	m.setMembers(members)
	return m
}

func empty() *Machine {
	return &Machine{
		queues:   map[string]*queue{},
		claims:   map[uint64]*claim{},
		sessions: map[uint64]*session{},
		names:    map[command.SessionID]*session{},
	}
}

// Apply takes in the entry of an index, which is above that of all entries before. Of b it
// keeps nothing. The slices of the outcome are used again by the next call; what they point to
// is not, and must not be changed.
func (m *Machine) Apply(index uint64, b command.Batch) Outcome {
	m.index = index
	m.clock = max(m.clock, b.Stamp)
	clear(m.outcome.Answers)
	m.outcome.Answers, m.outcome.Pushes = m.outcome.Answers[:0], m.outcome.Pushes[:0]
	m.expire()
	for i := range b.Commands {
		m.command(&b.Commands[i])
	}
	m.shrink()
	return m.outcome
}

// command carries out a command, unless it was before, and answers it.
func (m *Machine) command(c *command.Command) {
	m.outcome.Answers = append(m.outcome.Answers, command.Answer{Session: c.Session, Seq: c.Seq, ID: c.ID})
	r := &m.outcome.Answers[len(m.outcome.Answers)-1].Reply
	if c.Op == command.Open {
		m.open(c, r)
		return
	}
	s := m.sessions[c.Session]
	if s == nil {
		r.Code = command.SessionGone
		return
	}
	m.touch(s)
	if !s.replies.admit(c, r) {
		return
	}
	m.carryOut(c, s, r)
	if c.Op != command.Close {
		s.replies.keep(c.Seq, r)
	}
}

func (m *Machine) carryOut(c *command.Command, s *session, r *command.Reply) {
	if !c.Valid() || !c.Op.Logged() {
		r.Code = command.Invalid
		return
	}
	switch c.Op {
	case command.Nop:
		r.Code = command.OK
	case command.Close:
		m.end(s)
		r.Code = command.OK
	case command.Acquire:
		m.acquire(c, r)
	case command.Renew:
		m.renew(c, r)
	case command.Release:
		m.release(c, r)
	case command.Evict:
		m.evict(c, r)
	default: // those that Valid does not know, Open, and what is not in the log
	}
}

// Clock returns the cluster's time as of the last entry, in nanoseconds.
func (m *Machine) Clock() int64 { return m.clock }

// NextDeadline returns the time from which an entry would end a claim or a session.
func (m *Machine) NextDeadline() (at int64, ok bool) {
	claim, some := m.overdue.first()
	session, others := m.lapsing.first()
	switch {
	case some && others:
		return min(claim, session), true
	case some:
		return claim, true
	default:
		return session, others
	}
}

// after is a time of the cluster's clock, from now.
func (m *Machine) after(d int64) int64 {
	if at := m.clock + d; at >= m.clock {
		return at
	}
	return 1<<63 - 1
}

// give returns a number that no claim and no session has had.
func (m *Machine) give() uint64 {
	m.number++
	return m.number
}
