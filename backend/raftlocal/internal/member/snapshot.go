package member

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/snapshot"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// growth is what the log has grown by since the last snapshot.
type growth struct {
	entries, bytes int
	due            bool
	snapshot       uint64 // index of the last snapshot
	size           int    // of the last snapshot
	postponed      uint64 // the tick before which none is tried
}

// postponed is how many ticks a snapshot waits for which there was no room: a second.
const postponed = 20

// entryCost is about what an entry takes beside its data.
const entryCost = 48

func (g *growth) add(e *raftpb.Entry) {
	g.entries++
	g.bytes += len(e.GetData()) + entryCost
}

// force asks for a snapshot soon: see storage.Snapshot.
func (g *growth) force() { g.due = true }

// reset notes a snapshot.
func (g *growth) reset(snap *raftpb.Snapshot) {
	*g = growth{snapshot: snap.GetMetadata().GetIndex(), size: len(snap.GetData())}
}

// compact takes a snapshot if one is due, and then drops the log below it. A large state is
// written only when as much log has come together, so snapshots never cost more than the log.
func (m *Member) compact() error {
	g := &m.growth
	if !g.due && g.entries < m.cfg.SnapshotEntries && g.bytes < max(m.cfg.SnapshotBytes, g.size) {
		return nil
	}
	if m.applied <= g.snapshot || m.ticks < g.postponed {
		return nil
	}
	snap, err := m.storage.CreateSnapshot(m.applied, m.conf, m.machine.Snapshot())
	if errors.Is(err, raft.ErrSnapOutOfDate) {
		// It was taken before, and there was no room for it.
		snap, err = m.storage.MemoryStorage.Snapshot()
	}
	if err != nil {
		return err
	}
	// The snapshot is durable before the first entry that it stands for is dropped.
	switch err := snapshot.Save(m.cfg.FS, m.cfg.identity(), snap); {
	case errors.Is(err, disk.ErrScarce) && m.cfg.Wait != nil:
		// The log has room, or Prepare tells that it has not. So there is nothing to wait for.
		g.postponed = m.ticks + postponed
		return nil
	case err != nil:
		return fmt.Errorf("member: save a snapshot: %w", err)
	}
	g.reset(snap)
	m.counted.Snapshots++
	if err := m.log.Compact(m.applied); err != nil {
		return fmt.Errorf("member: compact the log: %w", err)
	}
	return m.forget()
}

// maxKept is the most bytes of entries below a snapshot that stay in memory.
const maxKept = 4 << 20

// forget drops from memory what no follower but a slow one needs.
func (m *Member) forget() error {
	first, err := m.storage.FirstIndex()
	if err != nil || first > m.applied {
		return err
	}
	entries, err := m.storage.Entries(first, m.applied+1, math.MaxUint64)
	if err != nil {
		return err
	}
	keep, bytes := 0, 0
	for _, e := range slices.Backward(entries) {
		bytes += len(e.GetData()) + entryCost
		if keep == m.cfg.KeepEntries || bytes > maxKept {
			break
		}
		keep++
	}
	if keep == len(entries) {
		return nil
	}
	return m.storage.Compact(m.applied - uint64(keep))
}

// install makes a snapshot the state of this member.
func (m *Member) install(snap *raftpb.Snapshot, state *statemachine.Machine) {
	m.machine = state
	m.conf = snap.GetMetadata().GetConfState()
	m.applied, m.appliedTerm = snap.GetMetadata().GetIndex(), snap.GetMetadata().GetTerm()
	m.noteBook()
	m.growth.reset(snap)
}

// Backup returns the state as it is applied here, for Config.State of a new cluster.
func (m *Member) Backup() []byte { return m.machine.Snapshot() }

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
