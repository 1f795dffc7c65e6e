package member

import (
	"errors"
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/machine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/snapshot"
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
		if err := found(cfg); err != nil {
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
		cfg: cfg, out: cfg.Outside, logger: cfg.Logger, log: log,
		machine: machine.New(nil), hard: contents.Hard, conf: &raftpb.ConfState{},
		heard: map[uint64]uint64{}, beaten: map[uint64]bool{}, clients: newClients(), evictions: map[commandID]struct{}{},
	}
	if m.hard == nil {
		m.hard = &raftpb.HardState{}
	}
	m.storage = &storage{MemoryStorage: raft.NewMemoryStorage(), conf: &m.conf}
	if snap != nil {
		state, err := machine.Restore(snap.GetData())
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
		MaxSizePerMsg:             mostBatch,
		MaxCommittedSizePerReady:  4 * mostBatch,
		MaxUncommittedEntriesSize: mostUncommitted,
		MaxInflightMsgs:           mostInflight,
		MaxInflightBytes:          mostInflightBytes,
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            raft.ReadOnlySafe,
		Logger:                    raftLogger{m.logger},
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
	})
	return err
}
