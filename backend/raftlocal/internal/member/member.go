package member

import (
	"log/slog"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/machine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// Member is one member of a cluster. It is not safe for concurrent use.
type Member struct {
	cfg    Config
	out    Outside
	logger *slog.Logger

	node    *raft.RawNode
	storage *storage
	log     *wal.Log
	machine *machine.Machine
	err     error // why it has ended

	// What raft said last.
	hard    *raftpb.HardState
	conf    *raftpb.ConfState
	book    []machine.Member // those with a part in conf
	leader  uint64
	leading bool
	// campaigning: it stands for election.
	campaigning bool
	ticks       uint64
	heard       map[uint64]uint64 // the tick of the last message of a peer
	beaten      map[uint64]bool   // peers whose heartbeat was answered since the last Ready
	ignored     uint64            // the tick at which it was told last that a message was ignored

	counted Counters // but for Syncs

	// What is applied.
	applied     uint64
	appliedTerm uint64
	batch       command.Batch // of the entry being applied; its memory is used again
	growth      growth

	// Leading. serving: an entry of the own term is applied.
	serving   bool
	clock     clusterClock
	lastStamp int64
	proposed  uint64 // batches of the own term
	completed uint64 // of these, those applied
	plan      *plan
	heir      uint64 // to whom leadership is being transferred
	usher     usher
	evictions map[commandID]struct{} // those that stand in the log or are about to, each as a Release

	clients  clients
	pending  pending
	reads    reads
	encoding []byte
}

// Tick counts one tick: 50 ms. It must not be called for the time that a Flush took.
func (m *Member) Tick() {
	if m.err != nil {
		return
	}
	defer m.guard()
	m.ticks++
	m.node.Tick()
}

// Receive takes a message of a peer, which must be who it says it is. What no peer has to say
// is ignored.
func (m *Member) Receive(msg *raftpb.Message) {
	if m.err != nil || msg.GetTo() != m.cfg.ID || !legalID(msg.GetFrom()) || msg.GetFrom() == m.cfg.ID {
		return
	}
	switch msg.GetType() {
	case raftpb.MsgApp, raftpb.MsgAppResp, raftpb.MsgVote, raftpb.MsgVoteResp, raftpb.MsgPreVote, raftpb.MsgPreVoteResp,
		raftpb.MsgSnap, raftpb.MsgHeartbeat, raftpb.MsgHeartbeatResp, raftpb.MsgTimeoutNow:
	default:
		// Above all no proposals: only a leader's own have a stamp of its clock.
		return
	}
	if !m.hears(msg) {
		return
	}
	defer m.guard()
	if m.inCluster(msg.GetFrom()) {
		m.heard[msg.GetFrom()] = m.ticks
		if msg.GetType() == raftpb.MsgHeartbeatResp {
			m.beaten[msg.GetFrom()] = true
		}
	}
	// An answer of somebody who is no member any more is an error that means nothing.
	_ = m.node.Step(msg)
}

// ReportUnreachable tells that messages to a peer were dropped.
func (m *Member) ReportUnreachable(peer uint64) {
	if m.err != nil {
		return
	}
	defer m.guard()
	m.node.ReportUnreachable(peer)
}

// ReportSnapshot tells what became of a snapshot that was sent to a peer.
func (m *Member) ReportSnapshot(peer uint64, arrived bool) {
	if m.err != nil {
		return
	}
	status := raft.SnapshotFailure
	if arrived {
		status = raft.SnapshotFinish
	}
	defer m.guard()
	m.node.ReportSnapshot(peer, status)
}

// Err is why the member has ended, or nil.
func (m *Member) Err() error { return m.err }

// Close ends the member and lets go of its files. What was acknowledged is on the disk: it may
// be called at any time, and says only what the disk says.
func (m *Member) Close() error {
	if m.err == nil {
		m.err = ErrClosed
	}
	m.dismissAll()
	return m.log.Close()
}

// fail ends the member.
func (m *Member) fail(err error) error {
	if m.err == nil {
		m.err = err
		m.dismissAll()
		m.logger.Error("member has ended", "cluster", m.cfg.Cluster, "member", m.cfg.Name, "error", err)
	}
	return m.err
}

// guard is deferred around raft. It ends the member where raft finds a contradiction; other
// panics are mistakes of the program and go on.
func (m *Member) guard() {
	switch p := recover().(type) {
	case nil:
	case raftPanic:
		_ = m.fail(p)
	default:
		panic(p)
	}
}

// now is a look at the clock of the cluster, if this member serves.
func (m *Member) look(now time.Duration) int64 {
	if !m.serving {
		return 0
	}
	return m.clock.look(now)
}
