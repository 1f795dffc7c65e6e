package member

import (
	"math"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
)

const stranger = 4711

func said(t raftpb.MessageType, from, to, term uint64) *raftpb.Message {
	return &raftpb.Message{
		Type: &t, From: &from, To: &to, Term: &term,
		Index: new(uint64(0)), LogTerm: new(uint64(0)), Commit: new(uint64(0)),
	}
}

var allTypes = []raftpb.MessageType{
	raftpb.MsgApp, raftpb.MsgAppResp, raftpb.MsgVote, raftpb.MsgVoteResp, raftpb.MsgPreVote, raftpb.MsgPreVoteResp,
	raftpb.MsgSnap, raftpb.MsgHeartbeat, raftpb.MsgHeartbeatResp, raftpb.MsgTimeoutNow,
}

// In a cluster that has a leader, nothing that somebody says who is no member changes anything.
func TestStrangersAreNotHeard(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	net.pass(10 * tick)
	term := l.m.consensus.hard.GetTerm()
	for _, typ := range allTypes {
		for _, n := range net.nodes {
			for _, ahead := range []uint64{0, 1, 1000} {
				n.m.Receive(said(typ, stranger, n.id(), term+ahead))
			}
		}
		net.pass(3 * tick)
		for _, n := range net.nodes {
			if n.m.consensus.err != nil || n.m.consensus.hard.GetTerm() != term || n.m.consensus.leader != l.id() {
				t.Fatalf("after %v: %s: term %d, was %d; leader %x, was %x; %v", typ, n.cfg.Name, n.m.consensus.hard.GetTerm(), term, n.m.consensus.leader, l.id(), n.m.consensus.err)
			}
		}
	}
	net.open(l).want(acquire("k", "p", time.Hour), command.Granted)
}

// A member that hears no leader hears somebody who may have become one, or may need its vote; but
// nobody else, and no answers to what it has not asked.
func TestStrangersAreHeardByWhoIsAlone(t *testing.T) {
	for _, typ := range allTypes {
		net := newNetwork(t, 3)
		l := net.leader()
		f := net.others(l)[0]
		f.cut = true
		net.pass(30 * tick) // it knows by then that it hears nobody
		term := f.m.consensus.hard.GetTerm()
		f.m.Receive(said(typ, stranger, f.id(), term+5))
		_ = f.m.Flush(net.now)
		heard := f.m.consensus.hard.GetTerm() == term+5
		want := typ == raftpb.MsgApp || typ == raftpb.MsgSnap || typ == raftpb.MsgHeartbeat || typ == raftpb.MsgVote
		if typ == raftpb.MsgPreVote { // it changes no term
			heard, want = false, false
		}
		if heard != want || f.m.consensus.err != nil && typ != raftpb.MsgSnap {
			t.Errorf("%v: heard: %v, %v", typ, heard, f.m.consensus.err)
		}
	}
	net := newNetwork(t, 3)
	f := net.others(net.leader())[0]
	f.cut = true
	net.pass(30 * tick)
	beat := said(raftpb.MsgHeartbeat, stranger, f.id(), f.m.consensus.hard.GetTerm()+5)
	beat.Commit = new(uint64(1 << 40))
	f.m.Receive(beat)
	if err := f.m.Flush(net.now); err != nil {
		t.Errorf("a stranger's heartbeat ends it: %v", err)
	}
}

// A term that cannot have come about is not heard, whoever says it; one of a member that was away for
// very long is.
func TestAbsurdTerms(t *testing.T) {
	for _, ahead := range []uint64{maxTermsAhead + 1, 1 << 62, math.MaxInt64, math.MaxUint64 - 5} {
		for _, typ := range allTypes {
			net := newNetwork(t, 3)
			l := net.leader()
			net.pass(3 * tick)
			term := l.m.consensus.hard.GetTerm()
			for _, n := range net.nodes {
				from := net.others(n)[0].id()
				n.m.Receive(said(typ, from, n.id(), term+ahead))
			}
			net.pass(3 * tick)
			for _, n := range net.nodes {
				if n.m.consensus.err != nil || n.m.consensus.hard.GetTerm() != term {
					t.Fatalf("%v, %d ahead: %s: term %d, was %d; %v", typ, ahead, n.cfg.Name, n.m.consensus.hard.GetTerm(), term, n.m.consensus.err)
				}
			}
		}
	}
	net := newNetwork(t, 3)
	l := net.leader()
	f := net.others(l)[0]
	far := l.m.consensus.hard.GetTerm() + maxTermsAhead
	f.m.Receive(said(raftpb.MsgHeartbeat, l.id(), f.id(), far))
	net.pass(3 * tick)
	if got := f.m.consensus.hard.GetTerm(); got < far {
		t.Errorf("term %d, want that of the others, %d", got, far)
	}
}

// A member waits while there is nothing to make a file of, and has lost nothing when there is again.
func TestWaitsForFiles(t *testing.T) {
	waits := 0
	net := newNetwork(t, 1, func(c *Config) { c.SegmentBytes, c.SnapshotEntries = 1024, 5 })
	n := net.nodes[0]
	n.kill()
	n.cfg.Wait = func(why error) bool {
		if waits++; waits%3 == 0 {
			n.disk.Limit(0)
		}
		return true
	}
	n.start()
	p := net.open(net.leader())
	var last uint64
	for i := range 40 {
		if i%10 == 0 {
			n.disk.Limit(1)
		}
		r := p.want(acquire(string(rune('a'+i)), "p", time.Hour), command.Granted)
		if r.Token <= last {
			t.Fatalf("token %d after %d", r.Token, last)
		}
		last = r.Token
		net.pass(tick)
	}
	if waits == 0 {
		t.Error("it never had to wait")
	}
	n.disk.Limit(0)
	net.pass(2 * postponed * tick)
	n.restart()
	net.leader()
	if got := n.m.state.machine.Stats().Claims; got != 40 {
		t.Errorf("%d claims after a restart", got)
	}
}

// One whose directory is lost ends.
func TestWatch(t *testing.T) {
	net := newNetwork(t, 1)
	n := net.leader()
	if err := n.m.Watch(); err != nil {
		t.Fatal(err)
	}
	n.disk.Lose(syscallError{})
	if err := n.m.Watch(); err != nil {
		t.Errorf("it could not be found out, and the member ends: %v", err)
	}
	n.disk.Lose(disk.ErrLost)
	if err := n.m.Watch(); err == nil || n.m.consensus.err == nil {
		t.Error("it goes on")
	}
}

type syscallError struct{}

func (syscallError) Error() string { return "cannot be found out" }
