package member

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/snapshot"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// Flush does all that is due: it proposes what came in, writes, sends, applies and answers,
// until there is nothing left. now is monotonic and must be read after the last Submit. An
// error is fatal: the member has ended, and every later call returns the same.
func (m *Member) Flush(now time.Duration) (err error) {
	if m.err != nil {
		return m.err
	}
	defer func() { err = m.err }()
	defer m.guard()
	for {
		stamp := m.look(now)
		m.forgetTransferee()
		m.advancePlan()
		m.propose(stamp)
		m.askReads()
		if !m.node.HasReady() {
			return m.err
		}
		rd := m.node.Ready()
		if err := m.handle(&rd, now); err != nil {
			return m.fail(err)
		}
		m.node.Advance(rd)
		m.answerReads(now)
		if err := m.compact(); err != nil {
			return m.fail(err)
		}
		if m.gone() {
			return m.fail(ErrRemoved)
		}
	}
}

// handle does what the package's documentation says of a Ready.
func (m *Member) handle(rd *raft.Ready, now time.Duration) error {
	early, late := m.outgoing(rd)
	for _, msg := range early {
		m.out.Send(msg)
	}
	stable, rest := split(rd)
	if err := m.apply(stable, now); err != nil {
		return err
	}
	m.noteRole(rd)
	if err := m.persist(rd); err != nil {
		return err
	}
	for _, msg := range late {
		m.out.Send(msg)
	}
	if err := m.apply(rest, now); err != nil {
		return err
	}
	m.reads.confirm(rd.ReadStates)
	return nil
}

// split tells the committed entries that the log holds from those that come with this Ready: a
// follower may learn of an entry and that it is committed at once.
func split(rd *raft.Ready) (stable, rest []*raftpb.Entry) {
	committed := rd.CommittedEntries
	if !raft.IsEmptySnap(rd.Snapshot) {
		return nil, committed
	}
	if len(rd.Entries) == 0 || len(committed) == 0 {
		return committed, nil
	}
	first, next := committed[0].GetIndex(), rd.Entries[0].GetIndex()
	if next <= first {
		return nil, committed
	}
	n := min(int(next-first), len(committed))
	return committed[:n], committed[n:]
}

// noteRole records who leads, and in which term. A client that is connected to a member that leads
// no more is redirected: see the package's documentation.
func (m *Member) noteRole(rd *raft.Ready) {
	term := m.hard.GetTerm()
	if !raft.IsEmptyHardState(rd.HardState) {
		m.hard = rd.HardState
	}
	leading := m.leading
	if rd.SoftState != nil {
		was := m.campaigning
		if m.campaigning = rd.RaftState == raft.StatePreCandidate || rd.RaftState == raft.StateCandidate; m.campaigning && !was {
			m.counted.Elections++
		}
		m.leader, leading = rd.Lead, rd.RaftState == raft.StateLeader
	}
	if m.leading && (!leading || term != m.hard.GetTerm()) {
		m.stopServing()
	}
	m.leading = leading
}

// stopServing forgets all that only a leader has to remember.
func (m *Member) stopServing() {
	m.leading, m.serving = false, false
	m.proposed, m.completed = 0, 0
	m.plan = nil
	m.usher = usher{}
	clear(m.evictions)
	m.redirectAll()
	m.transferee = 0
}

// startServing begins to take commands: an entry of the own term is applied, so all that was
// committed before it is applied too, and the clock has all that it is to go on from.
func (m *Member) startServing(now time.Duration) {
	m.serving = true
	m.clock.start(m.machine.Clock(), now)
	m.lastStamp = m.machine.Clock()
}

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
