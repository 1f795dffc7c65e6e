package member

import (
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

func inspect(key string) command.Command { return command.Command{Op: command.Inspect, Key: key} }

// A try that loses, and a look, write nothing.
func TestReadsWriteNothing(t *testing.T) {
	sizes(t, func(t *testing.T, n int) {
		net := newNetwork(t, n)
		l := net.leader()
		p, q := net.open(l), net.open(l)
		token := p.want(acquire("k", "p", time.Minute), command.Granted).Token
		last, syncs := l.m.Status().Last, l.syncs
		q.want(tryLock("k", "q", time.Minute), command.Held)
		if s := q.want(inspect("k"), command.OK).Status; !s.Held || s.AttemptID != "p" || s.Token != token {
			t.Errorf("%+v", s)
		}
		if s := q.want(inspect("free"), command.OK).Status; s.Held {
			t.Errorf("%+v", s)
		}
		if got := l.m.Status().Last; got != last || l.syncs != syncs {
			t.Errorf("%d entries, %d syncs", got-last, l.syncs-syncs)
		}
	})
}

// A leader that is cut off answers no read: another may lead.
func TestNoReadWithoutMajority(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	p, q := net.open(l), net.open(l)
	p.want(acquire("k", "p", time.Minute), command.Granted)
	l.cut = true
	// Its messages are lost from now on; it does not know.
	if r, ok := q.try(inspect("k")); ok {
		t.Errorf("answered: %+v", r)
	}
	if r, ok := q.try(tryLock("k", "q", time.Minute)); ok {
		t.Errorf("answered: %+v", r)
	}
	net.until("the old leader gives up", func() bool { return !l.m.consensus.leading })
	if len(q.answers) != 1 || !q.gone {
		t.Errorf("answers %+v, gone: %v", q.answers, q.gone)
	}
	if l.m.Clients.reads.waiting != 0 || l.m.Clients.reads.bytes != 0 {
		t.Error("reads are left")
	}
}

// A try that finds the lock held and then free gets it.
func TestTryOfLockThatBecomesFree(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	p, q := net.open(l), net.open(l)
	p.want(acquire("k", "p", time.Minute), command.Granted)
	p.send(release("k", "p"))
	q.want(tryLock("k", "q", time.Minute), command.Granted)
}

// A copy of a try that is in the log already is not overtaken by the copy that the client sends
// on its next connection: that is answered when the first is applied. Else the client could be
// told that another holds the lock, and then be granted it.
func TestReadWaitsForOwnProposals(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	p, q := net.open(l), net.open(l)
	net.pass(2 * tick)
	// Two entries are under way: p takes the lock; p releases it and q tries, which succeeds.
	p.send(acquire("k", "p", time.Minute))
	_ = l.m.Flush(net.now)
	first := l.m.Status().Last
	p.send(release("k", "p"))
	q.send(tryLock("k", "q", time.Minute))
	_ = l.m.Flush(net.now)
	// The second does not get through for a while.
	net.lost = func(m *raftpb.Message) bool { return m.GetType() == raftpb.MsgApp && m.GetIndex() >= first }
	net.settle()
	if s := l.m.state.machine.Inspect("k"); s.AttemptID != "p" {
		t.Fatalf("%+v", s)
	}
	again := net.dial(l, q.session)
	try := tryLock("k", "q", time.Minute)
	try.Seq = 1
	again.send(try)
	net.settle()
	if len(again.answers) != 0 {
		t.Fatalf("%+v", again.answers)
	}
	net.lost = nil
	net.pass(4 * tick)
	if r, ok := again.reply(1); !ok || r.Code != command.Granted {
		t.Errorf("%+v", again.answers)
	}
}

// A read of an old connection is void when its session comes on another.
func TestReadOfOldConnection(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	p, q := net.open(l), net.open(l)
	p.want(acquire("k", "p", time.Minute), command.Granted)
	l.cut = true
	q.send(tryLock("k", "q", time.Minute))
	net.settle()
	again := net.dial(l, q.session)
	l.cut = false
	net.pass(2 * tick)
	if len(again.answers) != 0 || len(q.answers) != 1 {
		t.Errorf("%+v, %+v", q.answers, again.answers)
	}
	again.want(tryLock("k", "q", time.Minute), command.Held)
}
