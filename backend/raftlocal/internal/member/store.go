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

// store is what the member has on the disk, and what raft reads of it, from memory.
type store struct {
	cfg     *Config
	state   *state
	log     *wal.Log
	storage *storage
	growth  growth
	taken   uint64 // snapshots
}

// continued returns the entries of the log that go on from the snapshot.
func (s *store) continued(log wal.Contents, hard *raftpb.HardState) ([]*raftpb.Entry, error) {
	first, last, at := log.Start+1, log.Start, s.state.applied
	if n := len(log.Entries); n > 0 {
		first, last = log.Entries[0].GetIndex(), log.Entries[n-1].GetIndex()
	}
	switch {
	case last == 0:
		return nil, nil // nothing was ever written
	case first > at+1:
		return nil, fmt.Errorf("member: the entries %d to %d are missing between the snapshot and the log: %s", at+1, first-1, disk.Cure)
	case last >= at && (first > at || log.Entries[at-first].GetTerm() == s.state.appliedTerm):
		return log.Entries[at+1-first:], nil
	default:
		// A crash came between a leader's snapshot and the log. The log ends before the
		// snapshot; or it had gone another way than the cluster before the snapshot's entry,
		// so nothing of it after that was ever committed, or can be.
		return nil, s.log.Restart(hard, at)
	}
}

// persist writes what a Ready says must be on the disk. A hard state that differs only in what
// is committed is not written by itself: after a restart the member learns it again from the
// leader, or by its own first entry when it leads.
func (s *store) persist(rd *raft.Ready, hard *raftpb.HardState) error {
	var restored *statemachine.Machine
	if !raft.IsEmptySnap(rd.Snapshot) {
		var err error
		// First of all: a snapshot that cannot be read must not replace anything.
		if restored, err = statemachine.Restore(rd.Snapshot.GetData()); err != nil {
			return fmt.Errorf("member: the leader's snapshot: %w", err)
		}
		// A crash after this and before the log is written finds a snapshot and a log that
		// ends before it, or that another has written on: Open takes the snapshot then.
		if err := s.patiently(func() error { return snapshot.Save(s.cfg.FS, s.cfg.identity(), rd.Snapshot) }); err != nil {
			return fmt.Errorf("member: keep the leader's snapshot: %w", err)
		}
		if err := s.patiently(func() error { return s.log.Restart(hard, rd.Snapshot.GetMetadata().GetIndex()) }); err != nil {
			return fmt.Errorf("member: begin the log at the snapshot: %w", err)
		}
	}
	if len(rd.Entries) > 0 || rd.MustSync && restored == nil {
		if err := s.patiently(func() error { return s.log.Append(hard, rd.Entries) }); err != nil {
			return fmt.Errorf("member: write the log: %w", err)
		}
	}
	if restored != nil {
		if err := s.install(rd.Snapshot, restored); err != nil {
			return fmt.Errorf("member: take in the leader's snapshot: %w", err)
		}
	}
	return s.storage.Append(rd.Entries)
}

// patiently tries again for as long as there is nothing left to make a file of. It is as if the
// disk hung: nothing is acknowledged meanwhile, and the others go on without this member. What
// is tried again has changed nothing: the file was new.
func (s *store) patiently(try func() error) error {
	for {
		err := try()
		if !errors.Is(err, disk.ErrScarce) || errors.Is(err, wal.ErrFailed) || s.cfg.Wait == nil || !s.cfg.Wait(err) {
			return err
		}
	}
}

// install makes a snapshot the state of this member.
func (s *store) install(snap *raftpb.Snapshot, machine *statemachine.Machine) error {
	s.state.install(snap, machine)
	s.growth.reset(snap)
	return s.storage.ApplySnapshot(snap)
}
