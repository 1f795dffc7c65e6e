// Package member is one member of a cluster: the log, the state machine and the consensus of
// go.etcd.io/raft between them. It starts no goroutine, reads no clock and speaks to no
// network: its runner hands in messages, ticks and commands, and calls Flush, which does
// all that is due and tells the Callbacks. So a simulation runs the very code that serves.
//
// # Parts
//
// Each knows only those above it: state, what the log has come to; store, the disk; consensus, raft's node and
// what it said last; peers, the other members as they are heard; transfer of leadership and changes of
// the members; Clients, whose connections ask and are told; proposals, what a leader puts into the log; reader,
// which answers without the log. Member has them all, and says what comes after what. One thing goes up:
// consensus tells when the member fails, so that Clients sends all away.
//
// # Order
//
// Flush takes one Ready of raft after another. Of each, in this order:
//
//  1. appends of a leader are sent: its followers write beside it (Raft thesis, 10.2.1); its
//     own copy counts for nothing before it is synced, because raft hears of it in Advance;
//  2. committed entries that the log holds already are applied and answered, so that no answer
//     waits for a sync that it does not need;
//  3. a snapshot that came in, entries, term and vote are written and synced;
//  4. all other messages are sent: votes and acknowledgements speak of what is on the disk;
//  5. the other committed entries are applied and answered.
//
// What was answered was committed, so a majority has synced it. An error of the disk ends the
// member: Flush returns it, and so does everything after, because what is on the disk is not
// known any more and nothing may be built on it.
//
// # A disk that hangs
//
// There is one thread. While a sync hangs, no tick is counted, no heartbeat goes out and no
// message is taken, so the others miss this leader and elect another after an election timeout:
// a leader that cannot write does not keep the place of one that can. Nobody's deadline suffers,
// for the clock of the cluster has stopped with its entries.
//
// When the disk comes back, the member still thinks that it leads. It can do no harm:
//
//   - What it appended needs a majority that accepts its term. The others are in a later one,
//     refuse it, and their refusal, or the first message of the new leader, ends its leadership.
//     An entry that a majority had taken in before is in the log of every later leader; to
//     answer it late is to say what is true.
//   - A read is answered after a round of heartbeats that began after the read came in, and that
//     a majority has acknowledged in this leader's term. There is no such majority any more.
//   - The time of the hang is one look at the clock, and one look counts for 100 ms at most. So no
//     lease ends because its leader slept, not even if nobody else was elected.
//   - If no word of the others arrives, CheckQuorum ends its leadership after an election timeout.
//
// # Who is answered
//
// Only a leader takes commands, and only when it has applied an entry of its own term: before,
// it does not know all that its predecessors have committed. A client that is connected to a member
// that does not lead, or leads no more, is redirected and goes to the leader.
//
// A session belongs to one connection, the one accepted last of those that named it. What comes
// from another is dropped, and so is what came from another and was not proposed yet: the client
// resends on the new one all that has no answer. So at most one copy of a command is outside the
// log, and a read need only wait for this leader's own proposals to know the fate of the others.
package member

import (
	"errors"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// Member is one member of a cluster. It is not safe for concurrent use.
type Member struct {
	// Clients is where the connections of clients come in.
	Clients Clients

	cfg       Config
	state     state
	store     store
	consensus consensus
	peers     peers
	transfer  transfer
	changes   changes
	proposals proposals
	reader    reader

	batch command.Batch // of the entry being applied; its memory is used again
}

// Tick counts one tick: 50 ms. It must not be called for the time that a Flush took.
func (m *Member) Tick() {
	if m.consensus.err != nil {
		return
	}
	defer m.consensus.guard()
	m.peers.ticks++
	m.consensus.node.Tick()
}

// Receive takes a message of a peer, which must be who it says it is. What no peer has to say
// is ignored.
func (m *Member) Receive(msg *raftpb.Message) {
	if m.consensus.err != nil || msg.GetTo() != m.cfg.ID || !legalID(msg.GetFrom()) || msg.GetFrom() == m.cfg.ID {
		return
	}
	switch msg.GetType() {
	case raftpb.MsgApp, raftpb.MsgAppResp, raftpb.MsgVote, raftpb.MsgVoteResp, raftpb.MsgPreVote, raftpb.MsgPreVoteResp,
		raftpb.MsgSnap, raftpb.MsgHeartbeat, raftpb.MsgHeartbeatResp, raftpb.MsgTimeoutNow:
	default:
		// Above all no proposals: only a leader's own have a stamp of its clock.
		return
	}
	if !m.peers.hears(msg) {
		return
	}
	defer m.consensus.guard()
	m.peers.note(msg)
	// An answer of somebody who is no member any more is an error that means nothing.
	_ = m.consensus.node.Step(msg)
}

// ReportUnreachable tells that messages to a peer were dropped.
func (m *Member) ReportUnreachable(peer uint64) {
	if m.consensus.err != nil {
		return
	}
	defer m.consensus.guard()
	m.consensus.node.ReportUnreachable(peer)
}

// ReportSnapshot tells what became of a snapshot that was sent to a peer.
func (m *Member) ReportSnapshot(peer uint64, arrived bool) {
	if m.consensus.err != nil {
		return
	}
	status := raft.SnapshotFailure
	if arrived {
		status = raft.SnapshotFinish
	}
	defer m.consensus.guard()
	m.consensus.node.ReportSnapshot(peer, status)
}

// Close ends the member and lets go of its files. What was acknowledged is on the disk: it may
// be called at any time, and says only what the disk says.
func (m *Member) Close() error {
	if m.consensus.err == nil {
		m.consensus.err = ErrClosed
	}
	m.Clients.redirectAll()
	return m.store.log.Close()
}

var (
	// ErrRemoved ends a member that is no longer one of the cluster. Its directory is of no
	// more use.
	ErrRemoved = errors.New("member: removed from the cluster: to come back it must be started with join=true and an empty directory, and be added: Admin.AddMember, or POST /members?add=NAME=HOST:PORT")
	// ErrClosed is what a member says after Close.
	ErrClosed = errors.New("member: closed")
	// ErrNotLeader refuses what only the leader can do.
	ErrNotLeader = errors.New("member: not the leader, or not yet: ask the leader")
	// ErrChanging refuses a change of the members while there is another.
	ErrChanging = errors.New("member: a change of the members is under way: wait until it is done, or abandon it")
)
