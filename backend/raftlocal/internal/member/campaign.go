package member

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
