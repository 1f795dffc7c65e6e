package member

import (
	"errors"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/snapshot"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// firstIndex is where the log of a cluster begins: at a snapshot that all its founders make for
// themselves. It is above 0, so whoever joins later is sent a snapshot.
const firstIndex = 1

// found makes the files of a member in an empty directory.
func found(cfg Config) error {
	id := cfg.identity()
	if cfg.Join {
		return wal.CreateSized(cfg.FS, id, cfg.SegmentBytes)
	}
	if len(cfg.Members) == 0 {
		return errors.New("member: the directory is empty: name the members that begin the cluster, or tell this one to join")
	}
	if err := checkFounders(cfg); err != nil {
		return err
	}
	// A snapshot without a log is a member that has forgotten its votes, and is refused. A log that
	// nothing was written to yet, without a snapshot, is begun again. So the log comes first.
	switch snap, err := snapshot.Load(cfg.FS, id); {
	case err != nil:
		return err
	case snap != nil:
		return errors.New("member: the directory has a snapshot but no log, so it is incomplete: " + disk.Cure)
	}
	if err := wal.CreateSized(cfg.FS, id, cfg.SegmentBytes); err != nil {
		return err
	}
	_, err := begin(cfg)
	return err
}

// begin saves the snapshot that a cluster begins with: the same bytes at every founder.
func begin(cfg Config) (*raftpb.Snapshot, error) {
	if err := checkFounders(cfg); err != nil {
		return nil, err
	}
	state, err := Beginning(cfg)
	if err != nil {
		return nil, err
	}
	conf, index := &raftpb.ConfState{}, uint64(firstIndex)
	for _, f := range sortedBook(cfg.Members) {
		conf.Voters = append(conf.Voters, f.ID)
	}
	snap := &raftpb.Snapshot{
		Data:     state,
		Metadata: &raftpb.SnapshotMetadata{ConfState: conf, Index: &index, Term: new(uint64(1))},
	}
	return snap, snapshot.Save(cfg.FS, cfg.identity(), snap)
}

// Beginning returns the state of the machine with which a cluster begins, which is the same at
// every founder.
func Beginning(cfg Config) ([]byte, error) {
	founders := sortedBook(cfg.Members)
	state := statemachine.New(founders)
	if cfg.State != nil {
		var err error
		if state, err = statemachine.Restore(cfg.State); err != nil {
			return nil, err
		}
		state.ApplyMembers(firstIndex, founders)
	}
	state.RaiseTokens(cfg.TokenBase)
	return state.Snapshot(), nil
}
