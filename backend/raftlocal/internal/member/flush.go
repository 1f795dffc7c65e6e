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
	if m.err != nil {
		return m.err
	}
	defer func() { err = m.err }()
	defer m.guard()
	for {
		stamp := m.look(now)
		m.forgetHeir()
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

// noteRole takes in who leads, and in which term. Whoever is connected to a member that leads
// no more is dismissed: see the package's documentation.
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
	m.dismissAll()
	m.heir = 0
}

// startServing begins to take commands: an entry of the own term is applied, so all that was
// committed before it is applied too, and the clock has all that it is to go on from.
func (m *Member) startServing(now time.Duration) {
	m.serving = true
	m.clock.start(m.machine.Clock(), now)
	m.lastStamp = m.machine.Clock()
}
