package member

import (
	"errors"
	"fmt"

	"go.etcd.io/raft/v3"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/snapshot"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// persist writes what a Ready says must be on the disk. A hard state that differs only in what
// is committed is not written by itself: after a restart the member learns it again from the
// leader, or by its own first entry when it leads.
func (m *Member) persist(rd *raft.Ready) error {
	var restored *statemachine.Machine
	if !raft.IsEmptySnap(rd.Snapshot) {
		var err error
		// First of all: a snapshot that cannot be read must not replace anything.
		if restored, err = statemachine.Restore(rd.Snapshot.GetData()); err != nil {
			return fmt.Errorf("member: the leader's snapshot: %w", err)
		}
		// A crash after this and before the log is written finds a snapshot and a log that
		// ends before it, or that another has written on: Open takes the snapshot then.
		if err := m.patiently(func() error { return snapshot.Save(m.cfg.FS, m.cfg.identity(), rd.Snapshot) }); err != nil {
			return fmt.Errorf("member: keep the leader's snapshot: %w", err)
		}
		if err := m.patiently(func() error { return m.log.Restart(m.hard, rd.Snapshot.GetMetadata().GetIndex()) }); err != nil {
			return fmt.Errorf("member: begin the log at the snapshot: %w", err)
		}
	}
	if len(rd.Entries) > 0 || rd.MustSync && restored == nil {
		if err := m.patiently(func() error { return m.log.Append(m.hard, rd.Entries) }); err != nil {
			return fmt.Errorf("member: write the log: %w", err)
		}
	}
	if restored != nil {
		m.install(rd.Snapshot, restored)
		if err := m.storage.ApplySnapshot(rd.Snapshot); err != nil {
			return fmt.Errorf("member: take in the leader's snapshot: %w", err)
		}
	}
	return m.storage.Append(rd.Entries)
}

// patiently tries again for as long as there is nothing left to make a file of. It is as if the
// disk hung: nothing is acknowledged meanwhile, and the others go on without this member. What
// is tried again has changed nothing: the file was new.
func (m *Member) patiently(try func() error) error {
	for {
		err := try()
		if !errors.Is(err, disk.ErrScarce) || errors.Is(err, wal.ErrFailed) || m.cfg.Wait == nil || !m.cfg.Wait(err) {
			return err
		}
	}
}
