package member

import (
	"fmt"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

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
			err = m.applyConfChange(e)
		}
		if err != nil {
			return fmt.Errorf("member: entry %d of the log: %w", e.GetIndex(), err)
		}
		if m.cfg.Applied != nil && (e.GetType() != raftpb.EntryNormal || len(e.GetData()) == 0) {
			m.cfg.Applied(e.GetIndex(), e.GetTerm(), command.Batch{}, statemachine.Outcome{})
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

// applyConfChange applies a change of the members: raft's part and the address book.
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

// deliver tells answers and pushes to those who have the sessions.
func (m *Member) deliver(answers []command.Answer, pushes []command.Push) {
	cs := &m.clients
	if len(cs.byConn) == 0 && len(cs.opening) == 0 {
		return
	}
	for i := range answers {
		a := &answers[i]
		cl := cs.bySession[a.Session]
		if a.Session == 0 {
			if cl = cs.opening[a.ID]; cl == nil {
				continue
			}
			delete(cs.opening, a.ID)
			if a.Reply.Code == command.OK && !cl.gone {
				cs.give(a.Reply.Number, cl)
			}
		}
		if cl = cs.tell(cl); cl != nil {
			cl.answers = append(cl.answers, *a)
		}
	}
	for i := range pushes {
		if cl := cs.tell(cs.bySession[pushes[i].Session]); cl != nil {
			cl.pushes = append(cl.pushes, pushes[i])
		}
	}
	for i, cl := range cs.told {
		m.out.Answer(cl.id, cl.answers, cl.pushes)
		cl.told, cl.answers, cl.pushes = false, cl.answers[:0], cl.pushes[:0]
		cs.told[i] = nil
	}
	cs.told = cs.told[:0]
}

// tell notes that a connection will be told something.
func (cs *clients) tell(cl *client) *client {
	if cl == nil || cl.gone {
		return nil
	}
	if !cl.told {
		cl.told = true
		cs.told = append(cs.told, cl)
	}
	return cl
}
