package member

import (
	"fmt"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// apply carries out committed entries, in order, and answers.
func (m *Member) apply(entries []*raftpb.Entry, now time.Duration) error {
	for _, e := range entries {
		var err error
		switch e.GetType() {
		case raftpb.EntryNormal:
			err = m.applyBatch(e)
		default:
			err = m.changes.apply(e)
		}
		if err != nil {
			return fmt.Errorf("member: entry %d of the log: %w", e.GetIndex(), err)
		}
		if m.cfg.Applied != nil && (e.GetType() != raftpb.EntryNormal || len(e.GetData()) == 0) {
			m.cfg.Applied(e.GetIndex(), e.GetTerm(), command.Batch{}, statemachine.Outcome{})
		}
		m.state.applied, m.state.appliedTerm = e.GetIndex(), e.GetTerm()
		m.store.growth.add(e)
		if c := &m.consensus; c.leading && !c.serving && e.GetTerm() == c.hard.GetTerm() {
			m.startServing(now)
		}
	}
	return nil
}

// applyBatch carries out the commands of an entry. An entry with no data is a leader's first,
// or a change of the members that raft has refused.
func (m *Member) applyBatch(e *raftpb.Entry) error {
	if len(e.GetData()) == 0 {
		if c := &m.consensus; c.serving && e.GetTerm() == c.hard.GetTerm() {
			m.changes.refused()
		}
		return nil
	}
	if err := command.DecodeBatch(e.GetData(), &m.batch); err != nil {
		return err
	}
	own := m.consensus.leading && e.GetTerm() == m.consensus.hard.GetTerm()
	var evicted map[commandID]command.Push
	if own {
		evicted = m.proposals.evictions.evicted(m.state.machine, m.batch)
	}
	outcome := m.state.machine.Apply(e.GetIndex(), m.batch)
	if own {
		m.proposals.completed++
		m.proposals.usher.answered(outcome.Answers)
	}
	if m.cfg.Applied != nil {
		m.cfg.Applied(e.GetIndex(), e.GetTerm(), m.batch, outcome)
	}
	m.Clients.deliver(outcome.Answers, tellEvicted(outcome.Pushes, evicted, outcome.Answers))
	return nil
}
