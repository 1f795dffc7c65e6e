package member

import (
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

// Flush does all that is due: it proposes what came in, writes, sends, applies and answers,
// until there is nothing left. now is monotonic and must be read after the last Submit. An
// error is fatal: the member has ended, and every later call returns the same.
func (m *Member) Flush(now time.Duration) (err error) {
	c := &m.consensus
	if c.err != nil {
		return c.err
	}
	defer func() { err = c.err }()
	defer c.guard()
	for {
		stamp := m.proposals.look(now)
		m.transfer.forget()
		m.changes.advance()
		m.proposals.propose(stamp)
		m.reader.ask()
		if !c.node.HasReady() {
			return c.err
		}
		rd := c.node.Ready()
		if err := m.handle(&rd, now); err != nil {
			return c.fail(err)
		}
		c.node.Advance(rd)
		m.reader.answer(now)
		if err := m.store.compact(m.peers.ticks); err != nil {
			return c.fail(err)
		}
		if m.state.gone() {
			return c.fail(ErrRemoved)
		}
	}
}

// handle does what the package's documentation says of a Ready.
func (m *Member) handle(rd *raft.Ready, now time.Duration) error {
	early, late := m.peers.outgoing(rd, m.Transferring())
	for _, msg := range early {
		m.cfg.Callbacks.Send(msg)
	}
	stable, rest := split(rd)
	if err := m.apply(stable, now); err != nil {
		return err
	}
	// A client that is connected to a member that leads no more is redirected: see the package's
	// documentation.
	if m.consensus.noteRole(rd) {
		m.stopServing()
	}
	if err := m.store.persist(rd, m.consensus.hard); err != nil {
		return err
	}
	for _, msg := range late {
		m.cfg.Callbacks.Send(msg)
	}
	if err := m.apply(rest, now); err != nil {
		return err
	}
	m.Clients.reads.confirm(rd.ReadStates)
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

// stopServing forgets all that only a leader has to remember.
func (m *Member) stopServing() {
	m.proposals.stop()
	m.changes.plan = nil
	m.Clients.redirectAll()
	m.transfer.to = 0
}

// startServing begins to take commands: an entry of the own term is applied, so all that was
// committed before it is applied too, and the clock has all that it is to go on from.
func (m *Member) startServing(now time.Duration) {
	m.consensus.serving = true
	m.proposals.start(now)
}
