package member

import (
	"slices"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// dismiss sends one client away.
func (m *Member) dismiss(cl *client, to statemachine.Member) {
	m.clients.forget(cl)
	m.out.Dismiss(cl.id, to)
}

// dismissAll sends all clients away, in the order of their numbers, and forgets what they asked.
func (m *Member) dismissAll() {
	all := make([]Conn, 0, len(m.clients.byConn))
	for c := range m.clients.byConn {
		all = append(all, c)
	}
	slices.Sort(all)
	leader := m.elsewhere()
	for _, c := range all {
		m.dismiss(m.clients.byConn[c], leader)
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
		return m.member(m.heir)
	}
}
