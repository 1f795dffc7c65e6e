package member

import (
	"slices"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// maxSessions is how many sessions a connection has at once: a client has one, and for a moment
// the one before.
const maxSessions = 8

// client is a connection.
type client struct {
	id       Conn
	sessions []uint64 // those it has, the oldest first
	released uint64   // the highest number of a release by attempt that came on it
	gone     bool     // detached: what it sent is still carried out, but not answered

	// What it is told after the entry that is being applied.
	told    bool
	answers []command.Answer
	pushes  []command.Push
}

// clients knows which connection has which session.
type clients struct {
	byConn    map[Conn]*client
	bySession map[uint64]*client
	opening   map[command.SessionID]*client // who waits for the number of a session
	told      []*client
}

func newClients() clients {
	return clients{byConn: map[Conn]*client{}, bySession: map[uint64]*client{}, opening: map[command.SessionID]*client{}}
}

// Attach tells of a new connection, with the number of the session that it names, or 0. A member
// that does not lead redirects it at once.
func (m *Member) Attach(c Conn, session uint64) {
	if m.err != nil || !m.leading {
		m.out.Redirect(c, m.elsewhere())
		return
	}
	cl := m.clients.byConn[c]
	if cl == nil {
		cl = &client{id: c}
		m.clients.byConn[c] = cl
	}
	if session != 0 {
		m.clients.give(session, cl)
	}
}

// Detach tells that a connection has ended. What it has sent is carried out all the same, if
// its session does not come back on another first: nobody waits for an answer on this one.
func (m *Member) Detach(c Conn) {
	if cl := m.clients.byConn[c]; cl != nil {
		m.clients.forget(cl)
	}
}

// give makes a session the connection's, unless one that was accepted later has it.
func (cs *clients) give(session uint64, to *client) {
	if has := cs.bySession[session]; has != nil {
		if has.id >= to.id {
			return
		}
		has.sessions = slices.DeleteFunc(has.sessions, func(s uint64) bool { return s == session })
	}
	if len(to.sessions) == maxSessions {
		delete(cs.bySession, to.sessions[0])
		to.sessions = slices.Delete(to.sessions, 0, 1)
	}
	cs.bySession[session] = to
	to.sessions = append(to.sessions, session)
}

// expect notes that a connection waits for a session to be opened.
func (cs *clients) expect(id command.SessionID, by *client) {
	if has := cs.opening[id]; has == nil || has.id < by.id {
		cs.opening[id] = by
	}
}

func (cs *clients) forget(cl *client) {
	cl.gone = true
	delete(cs.byConn, cl.id)
	for _, s := range cl.sessions {
		delete(cs.bySession, s)
	}
	cl.sessions = nil
}

// has reports whether a session is the connection's.
func (cl *client) has(session uint64) bool {
	// Mostly there is one.
	return len(cl.sessions) > 0 && cl.sessions[len(cl.sessions)-1] == session || slices.Contains(cl.sessions, session)
}

// stale reports whether a command that a connection has sent is void because its session has
// come on another since, where the client sends it again.
func (cs *clients) stale(cl *client, cmd *command.Command) bool {
	if cmd.Op == command.Open {
		return cs.opening[cmd.ID] != cl
	}
	has := cs.bySession[cmd.Session]
	return has != cl && (has != nil || !cl.gone)
}

// redirect sends one client away.
func (m *Member) redirect(cl *client, to statemachine.Member) {
	m.clients.forget(cl)
	m.out.Redirect(cl.id, to)
}

// redirectAll sends all clients away, in the order of their numbers, and forgets what they asked.
func (m *Member) redirectAll() {
	all := make([]Conn, 0, len(m.clients.byConn))
	for c := range m.clients.byConn {
		all = append(all, c)
	}
	slices.Sort(all)
	leader := m.elsewhere()
	for _, c := range all {
		m.redirect(m.clients.byConn[c], leader)
	}
	clear(m.clients.opening)
	m.pending.drop()
	m.reads.drop()
}

// elsewhere returns who leads, or is about to, if it is not this member.
func (m *Member) elsewhere() statemachine.Member {
	switch {
	case m.leader != 0 && m.leader != m.cfg.ID:
		return m.member(m.leader)
	default:
		return m.member(m.transferee)
	}
}
