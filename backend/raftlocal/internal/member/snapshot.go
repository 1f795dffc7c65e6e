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
func (s *store) compact(tick uint64) error {
	g := &s.growth
	if !g.due && g.entries < s.cfg.SnapshotEntries && g.bytes < max(s.cfg.SnapshotBytes, g.size) {
		return nil
	}
	if s.state.applied <= g.snapshot || tick < g.postponed {
		return nil
	}
	snap, err := s.storage.CreateSnapshot(s.state.applied, s.state.conf, s.state.machine.Snapshot())
	if errors.Is(err, raft.ErrSnapOutOfDate) {
		// It was taken before, and there was no room for it.
		snap, err = s.storage.MemoryStorage.Snapshot()
	}
	if err != nil {
		return err
	}
	// The snapshot is durable before the first entry that it stands for is dropped.
	switch err := snapshot.Save(s.cfg.FS, s.cfg.identity(), snap); {
	case errors.Is(err, disk.ErrScarce) && s.cfg.Wait != nil:
		// The log has room, or Prepare tells that it has not. So there is nothing to wait for.
		g.postponed = tick + postponed
		return nil
	case err != nil:
		return fmt.Errorf("member: save a snapshot: %w", err)
	}
	g.reset(snap)
	s.taken++
	if err := s.log.Compact(s.state.applied); err != nil {
		return fmt.Errorf("member: compact the log: %w", err)
	}
	return s.forget()
}

// maxKept is the most bytes of entries below a snapshot that stay in memory.
const maxKept = 4 << 20

// forget drops from memory what no follower but a slow one needs.
func (s *store) forget() error {
	first, err := s.storage.FirstIndex()
	if err != nil || first > s.state.applied {
		return err
	}
	entries, err := s.storage.Entries(first, s.state.applied+1, math.MaxUint64)
	if err != nil {
		return err
	}
	keep, bytes := 0, 0
	for _, e := range slices.Backward(entries) {
		bytes += len(e.GetData()) + entryCost
		if keep == s.cfg.KeepEntries || bytes > maxKept {
			break
		}
		keep++
	}
	if keep == len(entries) {
		return nil
	}
	return s.storage.Compact(s.state.applied - uint64(keep))
}

// storage is what raft reads: the entries since a little before the last snapshot, in memory.
type storage struct {
	*raft.MemoryStorage
	hold  bool // the members are just changing
	state *state
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
	for _, id := range everybody(s.state.conf) {
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
