package statemachine

import (
	"cmp"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// A session lives for defaultTTL without a command if Open does not say, and for longestTTL
// at most, so that none stays in memory for ever.
const (
	defaultTTL = time.Minute
	longestTTL = 24 * time.Hour
)

// session is a client's.
type session struct {
	number  uint64
	name    command.SessionID
	ttl     time.Duration
	place   int // in Machine.lapsing, where its deadline is
	replies replies
}

// open makes a session, or finds the one that an earlier copy of the command has made.
func (m *Machine) open(cmd *command.Command, r *command.Reply) {
	if !cmd.Valid() {
		r.Code = command.Invalid
		return
	}
	s := m.names[cmd.ID]
	if s == nil {
		ttl := min(cmp.Or(cmd.TTL, defaultTTL), longestTTL)
		s = &session{number: m.give(), name: cmd.ID, ttl: ttl, replies: replies{lowest: 1}}
		m.admit(s, m.after(int64(s.ttl)))
	} else {
		m.touch(s)
	}
	r.Code, r.Number = command.OK, s.number
}

// admit puts a session into all that leads to it.
func (m *Machine) admit(s *session, deadline int64) {
	m.sessions[s.number] = s
	m.names[s.name] = s
	m.lapsing.add(deadline, s.number, &s.place)
}

// touch notes that a command of a session has come.
func (m *Machine) touch(s *session) { m.lapsing.move(s.place, m.after(int64(s.ttl))) }

// end ends a session.
func (m *Machine) end(s *session) {
	delete(m.sessions, s.number)
	delete(m.names, s.name)
	m.lapsing.remove(s.place)
}
