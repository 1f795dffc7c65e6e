package member

import (
	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// Conn is a connection of a client. Numbers rise in the order in which connections were
// accepted, and none is used again: of two that name the same session, the higher has it.
type Conn uint64

// Outside is what a member tells. It is called from within the member's methods, must not
// block, and must not call back.
type Outside interface {
	// Send sends a message to the peer m.To, or drops it. It may be kept, but the message and
	// what it points to belong to the log as well and must not be changed. What became of a
	// MsgSnap must be reported with ReportSnapshot, or its receiver gets nothing more.
	Send(m *raftpb.Message)
	// Answer gives a client its answers, in the order of its commands, and then its pushes. The
	// slices, and the claims in the answers, are used again after the call.
	Answer(c Conn, answers []command.Answer, pushes []command.Push)
	// Dismiss tells a client to go to the leader, which is the zero Member if it is not known.
	// The connection must be closed; the member has forgotten it already and ignores what it
	// sends.
	Dismiss(c Conn, leader statemachine.Member)
}
