package member

import (
	"errors"
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/snapshot"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// Open opens a member on its directory, and begins or joins a cluster if the directory is
// empty. What the log says is committed is carried out by the first Flush.
func Open(cfg Config) (*Member, error) {
	cfg = cfg.withDefaults()
	if !legalID(cfg.ID) {
		return nil, fmt.Errorf("member: the id %d is reserved: leave it out, or use another", cfg.ID)
	}
	exists, err := wal.Exists(cfg.FS)
	if err != nil {
		return nil, err
	}
	if !exists {
		if err := initLog(cfg); err != nil {
			return nil, err
		}
	}
	log, contents, err := wal.Open(cfg.FS, cfg.identity())
	if err != nil {
		return nil, err
	}
	m, err := load(cfg, log, contents)
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return m, nil
}

// load puts together what the directory holds.
func load(cfg Config, log *wal.Log, contents wal.Contents) (*Member, error) {
	snap, err := snapshot.Load(cfg.FS, cfg.identity())
	if err != nil {
		return nil, err
	}
	if snap == nil && untouched(contents) && !cfg.Join {
		// The crash came after the log was made and before the first snapshot was.
		if snap, err = begin(cfg); err != nil {
			return nil, err
		}
	}
	if snap == nil && (!cfg.Join || len(contents.Entries) > 0) {
		return nil, errors.New("member: the directory has a log but no snapshot, so it is incomplete: " + disk.Cure)
	}
	m := &Member{
		cfg: cfg, out: cfg.Callbacks, logger: cfg.Logger, log: log,
		machine: statemachine.New(nil), hard: contents.Hard, conf: &raftpb.ConfState{},
		heard: map[uint64]uint64{}, beaten: map[uint64]bool{}, clients: newClients(), evictions: map[commandID]struct{}{},
	}
	if m.hard == nil {
		m.hard = &raftpb.HardState{}
	}
	m.storage = &storage{MemoryStorage: raft.NewMemoryStorage(), conf: &m.conf}
	if snap != nil {
		state, err := statemachine.Restore(snap.GetData())
		if err != nil {
			return nil, fmt.Errorf("member: the snapshot at entry %d: %w", snap.GetMetadata().GetIndex(), err)
		}
		m.install(snap, state)
		if err := m.storage.ApplySnapshot(snap); err != nil {
			return nil, err
		}
	}
	entries, err := m.continued(contents)
	if err != nil {
		return nil, err
	}
	if err := m.storage.Append(entries); err != nil {
		return nil, err
	}
	return m, m.start()
}

// continued returns the entries of the log that go on from the snapshot.
func (m *Member) continued(log wal.Contents) ([]*raftpb.Entry, error) {
	first, last, at := log.Start+1, log.Start, m.applied
	if n := len(log.Entries); n > 0 {
		first, last = log.Entries[0].GetIndex(), log.Entries[n-1].GetIndex()
	}
	switch {
	case last == 0:
		return nil, nil // nothing was ever written
	case first > at+1:
		return nil, fmt.Errorf("member: the entries %d to %d are missing between the snapshot and the log: %s", at+1, first-1, disk.Cure)
	case last >= at && (first > at || log.Entries[at-first].GetTerm() == m.appliedTerm):
		return log.Entries[at+1-first:], nil
	default:
		// A crash came between a leader's snapshot and the log. The log ends before the
		// snapshot; or it had gone another way than the cluster before the snapshot's entry,
		// so nothing of it after that was ever committed, or can be.
		return nil, m.log.Restart(m.hard, at)
	}
}

// start begins the consensus.
func (m *Member) start() (err error) {
	defer func() {
		// raft panics if the log makes no sense to it.
		if m.err != nil {
			err = m.err
		}
	}()
	defer m.guard()
	last, err := m.storage.LastIndex()
	if err != nil {
		return err
	}
	// What is committed is not always written: never less than a snapshot. And a torn end of the
	// log may have been cut under it: nobody was told of what was cut.
	commit := min(max(m.hard.GetCommit(), m.applied), last)
	term, vote := m.hard.GetTerm(), m.hard.GetVote()
	if term < m.appliedTerm {
		// The crash came after a snapshot of a later term. Nobody got a vote in that one.
		term, vote = m.appliedTerm, 0
	}
	m.hard = &raftpb.HardState{Term: &term, Vote: &vote, Commit: &commit}
	if err := m.storage.SetHardState(m.hard); err != nil {
		return err
	}
	m.node, err = raft.NewRawNode(&raft.Config{
		ID:                        m.cfg.ID,
		ElectionTick:              m.cfg.ElectionTicks,
		HeartbeatTick:             1,
		Storage:                   m.storage,
		Applied:                   m.applied,
		MaxSizePerMsg:             maxBatch,
		MaxCommittedSizePerReady:  4 * maxBatch,
		MaxUncommittedEntriesSize: maxUncommitted,
		MaxInflightMsgs:           maxInflight,
		MaxInflightBytes:          maxInflightBytes,
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            raft.ReadOnlySafe,
		Logger:                    raftLogger{m.logger},
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
	})
	return err
}

// firstIndex is where the log of a cluster begins: at a snapshot that all its initialMembers make for
// themselves. It is above 0, so a member that joins later is sent a snapshot.
const firstIndex = 1

// initLog makes the files of a member in an empty directory.
func initLog(cfg Config) error {
	id := cfg.identity()
	if cfg.Join {
		return wal.CreateSized(cfg.FS, id, cfg.SegmentBytes)
	}
	if len(cfg.Members) == 0 {
		return errors.New("member: the directory is empty: name the members that begin the cluster, or tell this one to join")
	}
	if err := checkInitialMembers(cfg); err != nil {
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

// begin saves the snapshot that a cluster begins with: the same bytes at every initial member.
func begin(cfg Config) (*raftpb.Snapshot, error) {
	if err := checkInitialMembers(cfg); err != nil {
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
// every initial member.
func Beginning(cfg Config) ([]byte, error) {
	initialMembers := sortedBook(cfg.Members)
	state := statemachine.New(initialMembers)
	if cfg.State != nil {
		var err error
		if state, err = statemachine.Restore(cfg.State); err != nil {
			return nil, err
		}
		state.ApplyMembers(firstIndex, initialMembers)
	}
	state.RaiseTokens(cfg.TokenBase)
	return state.Snapshot(), nil
}
