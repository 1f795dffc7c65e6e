package member

import (
	"fmt"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// transfer is a transfer of leadership to another member.
type transfer struct {
	consensus *consensus
	state     *state
	peers     *peers

	to uint64 // 0 if there is none
}

// Transfer hands leadership over, as before a member is stopped, to the member with this id, or
// for 0 to the one that is furthest. It goes on in Flush: until then, or until an election timeout
// has passed without it, commands wait. Clients are dismissed to the new leader.
func (m *Member) Transfer(to uint64) error { return m.transfer.begin(to) }

func (t *transfer) begin(to uint64) error {
	switch {
	case t.consensus.err != nil:
		return t.consensus.err
	case !t.consensus.leading:
		return ErrNotLeader
	case to == t.state.id:
		return nil
	}
	if to == 0 {
		if to = t.furthest(); to == 0 {
			return fmt.Errorf("member: no other member is alive that could lead")
		}
	}
	if !slices.Contains(t.state.conf.GetVoters(), to) {
		return fmt.Errorf("member: %x is not a member that can lead", to)
	}
	if !t.peers.alive(to) {
		return fmt.Errorf("member: %q was not heard of for a while: it cannot lead now", t.state.member(to).Name)
	}
	defer t.consensus.guard()
	t.to = to
	t.consensus.node.TransferLeader(to)
	return nil
}

// Transferring reports whether leadership is being transferred.
func (m *Member) Transferring() bool { return m.transfer.to != 0 }

// furthest returns the living voter that has the most of the log.
func (t *transfer) furthest() (to uint64) {
	var most uint64
	t.consensus.node.WithProgress(func(id uint64, _ raft.ProgressType, p tracker.Progress) {
		if id != t.state.id && slices.Contains(t.state.conf.GetVoters(), id) && t.peers.alive(id) && p.Match > most {
			to, most = id, p.Match
		}
	})
	return to
}

// forget ends a transfer that raft has given up.
func (t *transfer) forget() {
	if t.to == 0 {
		return
	}
	// If it leads no more, the transfer has come about, and clients are to be told of the transferee.
	if s := t.consensus.node.BasicStatus(); s.RaftState == raft.StateLeader && s.LeadTransferee == 0 {
		t.to = 0
	}
}

// elsewhere returns who leads, or is about to, if it is not this member.
func (t *transfer) elsewhere() statemachine.Member {
	switch leader := t.consensus.leader; {
	case leader != 0 && leader != t.state.id:
		return t.state.member(leader)
	default:
		return t.state.member(t.to)
	}
}

// Campaign makes a member that is the only one lead now: it has nobody to wait for. For any
// other it does nothing.
func (m *Member) Campaign() {
	if voters := m.state.conf.GetVoters(); m.consensus.err != nil || len(voters) != 1 || voters[0] != m.cfg.ID || len(m.state.conf.GetVotersOutgoing()) > 0 {
		return
	}
	defer m.consensus.guard()
	// It is refused only by a member that leads already.
	_ = m.consensus.node.Campaign()
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
