// Package statemachine is the state machine of the locks: it takes the entries of the log one
// after the other, and says what each command is answered and who is told what. It is pure: no
// clock, no randomness, no goroutine, and nothing that depends on the order of a map. So all
// members that have applied the same entries are in the same state, and Snapshot gives the same
// bytes at all of them, also at those that began from a snapshot.
//
// # Claims
//
// A claim is what one attempt to lock, a key and an attempt, has at a key: it holds it, or waits.
// The claims of a key are a queue in the order in which they came, and the first holds. Whenever
// it ends, the next has the lock within the same entry, and its session is told.
//
// Every claim has a deadline: its TTL from when it was made, last renewed, or granted after
// waiting. At each entry the clock moves to the entry's stamp, or stays if that is
// older; then all claims end whose deadline has come, before the entry's own commands. So a
// command never finds a claim that is overdue, and nothing brings back one that has ended.
//
// # Tokens
//
// Each grant, of whatever key, has a token above all before it: about the index of the entry
// that made it. RaiseTokens keeps it so when the log begins again from a backup.
//
// # Sessions
//
// A command belongs to a session and has a number in it. The machine carries out each number
// once: it keeps the reply until Lowest of a later command says that it has arrived. The
// replies are part of the state. A session ends when it is closed, or when no command has come
// for its TTL; its claims stay, and end by themselves.
//
// # Memory
//
// A key without claims takes no memory. A session keeps command.MaxOutstanding replies at
// most, and these the standings of maxStandings claims.
package statemachine

import (
	"cmp"
	"slices"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// Machine is the state machine. It is not safe for concurrent use.
type Machine struct {
	numbers
	members  []Member
	locks    locks
	sessions sessions
	outcome  Outcome
}

// numbers are what only rises.
type numbers struct {
	clock  int64  // nanoseconds of the cluster's time
	token  uint64 // of the last grant
	base   uint64 // what a token is above the index of its entry, at least
	number uint64 // the last that was given to a claim or a session
	index  uint64 // of the entry that is being applied
}

// after is a time of the cluster's clock, from now.
func (n *numbers) after(d int64) int64 {
	if at := n.clock + d; at >= n.clock {
		return at
	}
	return 1<<63 - 1
}

// give returns a number that no claim and no session has had.
func (n *numbers) give() uint64 {
	n.number++
	return n.number
}

// RaiseTokens is for a state that a new cluster begins with, whose log begins again: tokens
// will be above base. So will the numbers of claims and sessions: a cluster that was in this
// one's place may have given numbers, also after a backup was taken of it, and a client that has one must
// not be taken for somebody else.
//
// It adds nothing to a base that is high enough, so that a base which is the time keeps all numbers below
// the time, and the next such base is above them.
func (n *numbers) RaiseTokens(base uint64) {
	n.base = max(n.base, base)
	n.number = max(n.number, base)
}

// Highest is at least as high as each token and each number that was given, up to the entry of an index, the
// last that the state has. A state does not know its index.
func (n *numbers) Highest(index uint64) uint64 { return max(n.token, n.base+index, n.number) }

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
	m := &Machine{}
	m.locks = locks{numbers: &m.numbers, outcome: &m.outcome, queues: map[string]*queue{}, claims: map[uint64]*claim{}}
	m.sessions = sessions{numbers: &m.numbers, byNumber: map[uint64]*session{}, names: map[command.SessionID]*session{}}
	return m
}

// Apply applies the entry of an index, which is above that of all entries before. Of b it
// keeps nothing. The slices of the outcome are used again by the next call; what they point to
// is not, and must not be changed.
func (m *Machine) Apply(index uint64, b command.Batch) Outcome {
	m.index = index
	m.clock = max(m.clock, b.Stamp)
	clear(m.outcome.Answers)
	m.outcome.Answers, m.outcome.Pushes = m.outcome.Answers[:0], m.outcome.Pushes[:0]
	m.locks.expire()
	m.sessions.expire()
	for i := range b.Commands {
		m.command(&b.Commands[i])
	}
	m.locks.compactMaps()
	return m.outcome
}

// command carries out a command, unless it was before, and answers it.
func (m *Machine) command(c *command.Command) {
	m.outcome.Answers = append(m.outcome.Answers, command.Answer{Session: c.Session, Seq: c.Seq, ID: c.ID})
	r := &m.outcome.Answers[len(m.outcome.Answers)-1].Reply
	if c.Op == command.Open {
		m.sessions.open(c, r)
		return
	}
	s := m.sessions.byNumber[c.Session]
	if s == nil {
		r.Code = command.SessionGone
		return
	}
	m.sessions.touch(s)
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
		m.sessions.end(s)
		r.Code = command.OK
	case command.Acquire:
		m.locks.acquire(c, r)
	case command.Renew:
		m.locks.renew(c, r)
	case command.Release:
		m.locks.release(c, r)
	case command.Evict:
		m.locks.evict(c, r)
	default: // those that Valid does not know, Open, and what is not in the log
	}
}

// Clock returns the cluster's time as of the last entry, in nanoseconds.
func (m *Machine) Clock() int64 { return m.clock }

// NextDeadline returns the time from which an entry would end a claim or a session.
func (m *Machine) NextDeadline() (at int64, ok bool) {
	claim, some := m.locks.overdue.first()
	session, others := m.sessions.expiring.first()
	switch {
	case some && others:
		return min(claim, session), true
	case some:
		return claim, true
	default:
		return session, others
	}
}

// Member is a member of the cluster, as it stands in the address book. The machine only
// keeps the book, so that it is in every snapshot.
type Member struct {
	ID         uint64
	Name, Addr string
}

// ApplyMembers sets the address book as it is after the entry of an index.
func (m *Machine) ApplyMembers(_ uint64, members []Member) { m.setMembers(members) }

// Members returns the address book, by id. It must not be changed.
func (m *Machine) Members() []Member { return m.members }

func (m *Machine) setMembers(members []Member) {
	m.members = slices.SortedFunc(slices.Values(members), func(a, b Member) int { return cmp.Compare(a.ID, b.ID) })
}
