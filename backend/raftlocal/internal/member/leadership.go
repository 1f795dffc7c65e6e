package member

import (
	"fmt"
	"slices"
	"time"

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
	m.transferee = to
	m.node.TransferLeader(to)
	return nil
}

// Transferring reports whether leadership is being transferred.
func (m *Member) Transferring() bool { return m.transferee != 0 }

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

// forgetTransferee ends a transfer that raft has given up.
func (m *Member) forgetTransferee() {
	if m.transferee == 0 {
		return
	}
	// If it leads no more, the transfer has come about, and clients are to be told of the transferee.
	if s := m.node.BasicStatus(); s.RaftState == raft.StateLeader && s.LeadTransferee == 0 {
		m.transferee = 0
	}
}

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

// maxLook is the most that one look counts for: two ticks. A member that was suspended, or
// whose disk hung, does not make up for it: nobody could renew meanwhile.
const maxLook = 100 * time.Millisecond

// clusterClock is the clock of the cluster while this member leads. It begins where the last
// entry left it and never runs faster than the leader's own monotonic clock, so no lease ends
// early by it.
type clusterClock struct {
	at   int64 // nanoseconds of the cluster's time, at the last look
	last time.Duration
}

// start begins at the stamp of the last entry that was applied.
func (c *clusterClock) start(at int64, now time.Duration) { c.at, c.last = at, now }

// look returns the time. now must have been read after all commands that will get this stamp
// came in, or their leases would begin before they were asked for.
func (c *clusterClock) look(now time.Duration) int64 {
	if d := now - c.last; d > 0 {
		c.at += int64(min(d, maxLook))
		c.last = now
	}
	return c.at
}
