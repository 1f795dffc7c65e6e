package member

import (
	"context"
	"fmt"
	"log/slog"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
)

// consensus is raft's node, what it has said last, and why it has ended.
type consensus struct {
	cfg   *Config
	ended func() // called when the member fails

	node *raft.RawNode
	err  error // why the member has ended

	hard        *raftpb.HardState
	leader      uint64
	leading     bool
	serving     bool // leading, and an entry of the own term is applied
	campaigning bool // it stands for election
	elections   uint64
}

// start begins the consensus.
func (c *consensus) start(s *state, log *storage) (err error) {
	defer func() {
		// raft panics if the log makes no sense to it.
		if c.err != nil {
			err = c.err
		}
	}()
	defer c.guard()
	last, err := log.LastIndex()
	if err != nil {
		return err
	}
	// What is committed is not always written: never less than a snapshot. And a torn end of the
	// log may have been cut under it: nobody was told of what was cut.
	commit := min(max(c.hard.GetCommit(), s.applied), last)
	term, vote := c.hard.GetTerm(), c.hard.GetVote()
	if term < s.appliedTerm {
		// The crash came after a snapshot of a later term. Nobody got a vote in that one.
		term, vote = s.appliedTerm, 0
	}
	c.hard = &raftpb.HardState{Term: &term, Vote: &vote, Commit: &commit}
	if err := log.SetHardState(c.hard); err != nil {
		return err
	}
	c.node, err = raft.NewRawNode(&raft.Config{
		ID:                        c.cfg.ID,
		ElectionTick:              c.cfg.ElectionTicks,
		HeartbeatTick:             1,
		Storage:                   log,
		Applied:                   s.applied,
		MaxSizePerMsg:             maxBatch,
		MaxCommittedSizePerReady:  4 * maxBatch,
		MaxUncommittedEntriesSize: maxUncommitted,
		MaxInflightMsgs:           maxInflight,
		MaxInflightBytes:          maxInflightBytes,
		CheckQuorum:               true,
		PreVote:                   true,
		ReadOnlyOption:            raft.ReadOnlySafe,
		Logger:                    raftLogger{c.cfg.Logger},
		DisableProposalForwarding: true,
		StepDownOnRemoval:         true,
	})
	return err
}

// noteRole records who leads, and in which term. It reports whether this member leads no more, or leads
// again in another term: then all that a leader remembers is void.
func (c *consensus) noteRole(rd *raft.Ready) (over bool) {
	term := c.hard.GetTerm()
	if !raft.IsEmptyHardState(rd.HardState) {
		c.hard = rd.HardState
	}
	leading := c.leading
	if rd.SoftState != nil {
		was := c.campaigning
		if c.campaigning = rd.RaftState == raft.StatePreCandidate || rd.RaftState == raft.StateCandidate; c.campaigning && !was {
			c.elections++
		}
		c.leader, leading = rd.Lead, rd.RaftState == raft.StateLeader
	}
	over = c.leading && (!leading || term != c.hard.GetTerm())
	c.leading, c.serving = leading, c.serving && !over
	return over
}

// fail ends the member.
func (c *consensus) fail(err error) error {
	if c.err == nil {
		c.err = err
		c.ended()
		c.cfg.Logger.Error("member has ended", "cluster", c.cfg.Cluster, "member", c.cfg.Name, "error", err)
	}
	return c.err
}

// guard is deferred around raft. It ends the member where raft finds a contradiction; other
// panics are mistakes of the program and go on.
func (c *consensus) guard() {
	switch p := recover().(type) {
	case nil:
	case raftPanic:
		_ = c.fail(p)
	default:
		panic(p)
	}
}

// raftLogger hands on what raft has to say. Its line for every election is for debugging, and its
// warnings, too: who runs the member tells what they mean.
type raftLogger struct{ to *slog.Logger }

// raftPanic is how raft tells that an invariant is broken: a disk that lost what was synced, or
// a peer that sends nonsense. The member ends with it; the process need not.
type raftPanic struct{ what string }

func (p raftPanic) Error() string {
	return "member: the consensus has found a contradiction, as when a disk has lost what it had synced: " + p.what +
		": " + disk.Cure
}

func (l raftLogger) say(level slog.Level, v []any) {
	if l.to.Enabled(context.Background(), level) {
		l.to.Log(context.Background(), level, fmt.Sprint(v...))
	}
}

func (l raftLogger) sayf(level slog.Level, format string, v []any) {
	if l.to.Enabled(context.Background(), level) {
		l.to.Log(context.Background(), level, fmt.Sprintf(format, v...))
	}
}

func (l raftLogger) Debug(v ...any)                   { l.say(slog.LevelDebug, v) }
func (l raftLogger) Debugf(format string, v ...any)   { l.sayf(slog.LevelDebug, format, v) }
func (l raftLogger) Info(v ...any)                    { l.say(slog.LevelDebug, v) }
func (l raftLogger) Infof(format string, v ...any)    { l.sayf(slog.LevelDebug, format, v) }
func (l raftLogger) Warning(v ...any)                 { l.say(slog.LevelDebug, v) }
func (l raftLogger) Warningf(format string, v ...any) { l.sayf(slog.LevelDebug, format, v) }
func (l raftLogger) Error(v ...any)                   { l.say(slog.LevelError, v) }
func (l raftLogger) Errorf(format string, v ...any)   { l.sayf(slog.LevelError, format, v) }

func (l raftLogger) Fatal(v ...any)                 { panic(raftPanic{fmt.Sprint(v...)}) }
func (l raftLogger) Fatalf(format string, v ...any) { panic(raftPanic{fmt.Sprintf(format, v...)}) }
func (l raftLogger) Panic(v ...any)                 { panic(raftPanic{fmt.Sprint(v...)}) }
func (l raftLogger) Panicf(format string, v ...any) { panic(raftPanic{fmt.Sprintf(format, v...)}) }
