package member

import (
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// storage is what raft reads: the entries since a little before the last snapshot, in memory.
type storage struct {
	*raft.MemoryStorage
	hold bool               // the members are just changing
	conf **raftpb.ConfState // of the member
}

// Snapshot returns the last snapshot. One that was taken before the receiver became a member is
// worth nothing to it, and it would refuse it: so there is none until the next, which is taken
// as soon as a change of the members is applied.
func (s *storage) Snapshot() (*raftpb.Snapshot, error) {
	snap, err := s.MemoryStorage.Snapshot()
	if err != nil {
		return nil, err
	}
	had := snap.GetMetadata().GetConfState()
	for _, id := range everybody(*s.conf) {
		if s.hold || !slices.Contains(everybody(had), id) {
			return nil, raft.ErrSnapshotTemporarilyUnavailable
		}
	}
	return snap, nil
}

// everybody returns all who have a part in a configuration, sorted.
func everybody(conf *raftpb.ConfState) []uint64 {
	all := slices.Concat(conf.GetVoters(), conf.GetVotersOutgoing(), conf.GetLearners(), conf.GetLearnersNext())
	slices.Sort(all)
	return slices.Compact(all)
}

// inCluster reports whether a member has a part in the configuration.
func (m *Member) inCluster(id uint64) bool {
	c := m.conf
	return slices.Contains(c.GetVoters(), id) || slices.Contains(c.GetLearners(), id) ||
		slices.Contains(c.GetVotersOutgoing(), id) || slices.Contains(c.GetLearnersNext(), id)
}

// gone reports whether the cluster has removed this member. One that waits for its first
// snapshot knows no configuration at all.
func (m *Member) gone() bool { return len(m.conf.GetVoters()) > 0 && !m.inCluster(m.cfg.ID) }
