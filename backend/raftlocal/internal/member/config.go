package member

import (
	"cmp"
	"log/slog"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// Limits of what one member holds in memory for others.
const (
	// maxBatch is the most bytes of commands in one entry.
	maxBatch = 1 << 20
	// maxUncommitted is the most bytes of entries that wait for a majority.
	maxUncommitted = 8 << 20
	// maxPending and maxPendingBytes bound the commands that wait to be proposed, or read.
	maxPending      = 1 << 16
	maxPendingBytes = 32 << 20
	// maxInflight and maxInflightBytes bound the appends on their way to one peer.
	maxInflight      = 256
	maxInflightBytes = 16 << 20
)

// Config is what a member is opened with.
type Config struct {
	// ID is the member's number in the consensus: that of its directory, which Draw tells. 0 stands
	// for ID(Cluster, Name), for one that is alone.
	ID      uint64
	Name    string
	Cluster string
	FS      disk.FS
	// Join opens an empty directory to wait for what a leader sends, after the cluster was
	// told to add this member. It says nothing once the directory has a snapshot.
	Join bool
	// Members begins a cluster, if the directory has not begun. All members must be opened with
	// the same, on which package bootstrap has them agree. It says nothing once the directory is in
	// use.
	Members []statemachine.Member
	// State, with Members, is what the cluster begins with: the state machine of a backup,
	// which must be the same for all members.
	State []byte
	// TokenBase, with Members, is what tokens of the new cluster are above, and the numbers of
	// its claims and sessions, too: so that nobody is taken for somebody of a cluster that was
	// in its place. It must be the same for all members.
	TokenBase uint64

	Callbacks Callbacks
	// Wait is called within a Flush that cannot go on since there is nothing left to make a file
	// of: a [disk.ErrScarce]. It returns true when it is to be tried again. Nobody waits, and the
	// member ends, if it is nil.
	Wait   func(why error) bool
	Logger *slog.Logger // nil for none
	// Applied, if it is not nil, sees each entry once it is applied, also those without commands:
	// what members have applied can so be compared. The memory is used again after the call.
	Applied func(index, term uint64, b command.Batch, o statemachine.Outcome)

	// ElectionTicks is how many ticks a follower waits for its leader, at least; up to twice as
	// many, at random. 10 if 0.
	ElectionTicks int
	// SnapshotBytes and SnapshotEntries are how far the log may grow until a snapshot is taken:
	// 16 MiB, or the size of the last snapshot if that is more, and 100,000 entries, if 0.
	SnapshotBytes   int
	SnapshotEntries int
	// SegmentBytes is how large the files of the log are. wal.SegmentSize if 0. It is for a new
	// directory; one in use keeps its own.
	SegmentBytes int64
	// KeepEntries is how many entries below a snapshot stay in memory, for followers who lag a
	// little. 10,000 if 0.
	KeepEntries int
}

// withDefaults fills in what was left out.
func (c Config) withDefaults() Config {
	c.ID = cmp.Or(c.ID, ID(c.Cluster, c.Name))
	c.ElectionTicks = cmp.Or(c.ElectionTicks, 10)
	c.SnapshotBytes = cmp.Or(c.SnapshotBytes, 16<<20)
	c.SnapshotEntries = cmp.Or(c.SnapshotEntries, 100_000)
	c.KeepEntries = cmp.Or(c.KeepEntries, 10_000)
	c.SegmentBytes = cmp.Or(c.SegmentBytes, wal.SegmentSize)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// Conn is a connection of a client. Numbers rise in the order in which connections were
// accepted, and none is used again: of two that name the same session, the higher has it.
type Conn uint64

// Callbacks is what a member tells. It is called from within the member's methods, must not
// block, and must not call back.
type Callbacks interface {
	// Send sends a message to the peer m.To, or drops it. It may be kept, but the message and
	// what it points to belong to the log as well and must not be changed. What became of a
	// MsgSnap must be reported with ReportSnapshot, or its receiver gets nothing more.
	Send(m *raftpb.Message)
	// Answer gives a client its answers, in the order of its commands, and then its pushes. The
	// slices, and the claims in the answers, are used again after the call.
	Answer(c Conn, answers []command.Answer, pushes []command.Push)
	// Redirect tells a client to go to the leader, which is the zero Member if it is not known.
	// The connection must be closed; the member has forgotten it already and ignores what it
	// sends.
	Redirect(c Conn, leader statemachine.Member)
}
