package member

import (
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"
)

// Transfer hands leadership over, as before a member is stopped, to the member with this id, or
// for 0 to the one that is furthest. It goes on in Flush: until then, or until an election timeout
// has passed without it, commands wait. Clients are dismissed to the new leader.
func (m *Member) Transfer(to uint64) error {
	switch {
	case m.err != nil:
		return m.err
	case !m.leading:
		return ErrNotLeader
	case to == m.cfg.ID:
		return nil
	}
	if to == 0 {
		if to = m.furthest(); to == 0 {
			return fmt.Errorf("member: no other member is alive that could lead")
		}
	}
	if !slices.Contains(m.conf.GetVoters(), to) {
		return fmt.Errorf("member: %x is not a member that can lead", to)
	}
	if !m.alive(to) {
		return fmt.Errorf("member: %q was not heard of for a while: it cannot lead now", m.member(to).Name)
	}
	defer m.guard()
	m.heir = to
	m.node.TransferLeader(to)
	return nil
}

// Transferring reports whether leadership is being handed over.
func (m *Member) Transferring() bool { return m.heir != 0 }

// furthest returns the living voter that has the most of the log.
func (m *Member) furthest() (to uint64) {
	var most uint64
	m.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		if id != m.cfg.ID && slices.Contains(m.conf.GetVoters(), id) && m.alive(id) && p.Match > most {
			to, most = id, p.Match
		}
	})
	return to
}

// forgetHeir ends a transfer that raft has given up.
func (m *Member) forgetHeir() {
	if m.heir == 0 {
		return
	}
	// If it leads no more, the transfer has come about, and clients are to be told of the heir.
	if s := m.node.BasicStatus(); s.RaftState == raft.StateLeader && s.LeadTransferee == 0 {
		m.heir = 0
	}
}
