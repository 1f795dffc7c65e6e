package member

import (
	"fmt"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/machine"
)

// apply carries out committed entries, in order, and answers.
func (m *Member) apply(entries []*raftpb.Entry, now time.Duration) error {
	for _, e := range entries {
		var err error
		switch e.GetType() {
		case raftpb.EntryNormal:
			err = m.applyBatch(e)
		default:
			err = m.applyConfChange(e)
		}
		if err != nil {
			return fmt.Errorf("member: entry %d of the log: %w", e.GetIndex(), err)
		}
		if m.cfg.Applied != nil && (e.GetType() != raftpb.EntryNormal || len(e.GetData()) == 0) {
			m.cfg.Applied(e.GetIndex(), e.GetTerm(), command.Batch{}, machine.Outcome{})
		}
		m.applied, m.appliedTerm = e.GetIndex(), e.GetTerm()
		m.growth.add(e)
		if m.leading && !m.serving && e.GetTerm() == m.hard.GetTerm() {
			m.startServing(now)
		}
	}
	return nil
}

// applyBatch carries out the commands of an entry. An entry with no data is a leader's first,
// or a change of the members that raft has refused.
func (m *Member) applyBatch(e *raftpb.Entry) error {
	if len(e.GetData()) == 0 {
		if m.serving && e.GetTerm() == m.hard.GetTerm() {
			m.planRefused()
		}
		return nil
	}
	if err := command.DecodeBatch(e.GetData(), &m.batch); err != nil {
		return err
	}
	own := m.leading && e.GetTerm() == m.hard.GetTerm()
	var evicted map[commandID]command.Push
	if own {
		evicted = m.evicted(m.batch)
	}
	outcome := m.machine.Apply(e.GetIndex(), m.batch)
	if own {
		m.completed++
		m.usher.answered(outcome.Answers)
	}
	if m.cfg.Applied != nil {
		m.cfg.Applied(e.GetIndex(), e.GetTerm(), m.batch, outcome)
	}
	m.deliver(outcome.Answers, tellEvicted(outcome.Pushes, evicted, outcome.Answers))
	return nil
}

// applyConfChange takes in a change of the members: raft's part and the address book.
func (m *Member) applyConfChange(e *raftpb.Entry) error {
	if e.GetType() != raftpb.EntryConfChangeV2 {
		return fmt.Errorf("it is of type %d, which this version does not know: run the newest version", e.GetType())
	}
	var change raftpb.ConfChangeV2
	if err := proto.Unmarshal(e.GetData(), &change); err != nil {
		return err
	}
	added, err := decodeBook(change.GetContext())
	if err != nil {
		return err
	}
	// Until the address book is in step, no snapshot can be taken.
	m.storage.hold = true
	m.conf = m.node.ApplyConfChange(&change)
	m.storage.hold = false
	m.machine.ApplyMembers(e.GetIndex(), bookOf(m.conf, m.machine.Members(), added))
	m.noteBook()
	m.growth.force()
	m.planApplied()
	return nil
}
