package member

import "github.com/fencelock/fencelock/backend/raftlocal/internal/machine"

// Leader returns who leads, or the zero Member if that is not known.
func (m *Member) Leader() machine.Member { return m.member(m.leader) }

// Serving reports whether this member leads and takes commands.
func (m *Member) Serving() bool { return m.serving }

// Campaign makes a member that is the only one lead now: it has nobody to wait for. For any
// other it does nothing.
func (m *Member) Campaign() {
	if voters := m.conf.GetVoters(); m.err != nil || len(voters) != 1 || voters[0] != m.cfg.ID || len(m.conf.GetVotersOutgoing()) > 0 {
		return
	}
	defer m.guard()
	// It is refused only by a member that leads already.
	_ = m.node.Campaign()
}

// Transferring reports whether leadership is being handed over.
func (m *Member) Transferring() bool { return m.heir != 0 }
