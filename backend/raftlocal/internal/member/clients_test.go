package member

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// Whoever comes to a follower is sent to the leader.
func TestFollowerRedirects(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	net.pass(2 * tick)
	p := net.dial(net.others(l)[0], 0)
	if !p.gone || p.to.Name != l.cfg.Name || p.to.Addr != l.cfg.Name+":7300" {
		t.Errorf("gone: %v, to %+v", p.gone, p.to)
	}
	p.send(command.Command{Op: command.Open})
	net.settle()
	if len(p.answers) != 0 {
		t.Error("answered")
	}
}

// When leadership is lost, all clients go, and what they asked goes with them.
func TestRedirectOnLoss(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	p, q := net.open(l), net.open(l)
	p.want(acquire("k", "p", time.Minute), command.Granted)
	l.cut = true
	p.send(release("k", "p"))
	net.settle()
	if p.gone || len(p.answers) != 2 {
		t.Fatal("too early")
	}
	next := net.leader()
	if next == l {
		t.Fatal("the same leader")
	}
	l.cut = false
	net.until("the old leader follows", func() bool { return !l.m.consensus.leading })
	if !p.gone || !q.gone || len(l.m.Clients.pending.commands) != 0 || len(l.m.Clients.byConn) != 0 {
		t.Errorf("gone: %v, %v", p.gone, q.gone)
	}
	if len(p.answers) != 2 {
		t.Errorf("answered: %+v", p.answers[2:])
	}
	// The client resends to the new leader, and gets its answer once.
	again := net.dial(next, p.session)
	again.seq = 1
	again.want(release("k", "p"), command.OK)
	net.same()
}

// What is left of an old connection in some buffer does nothing.
func TestOldConnectionIsDropped(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	old := net.open(l)
	old.want(acquire("k", "p", time.Minute), command.Granted)
	p := net.dial(l, old.session)
	p.seq = old.seq
	last := l.m.Status().Last
	old.send(release("k", "p"))
	net.settle()
	if got := l.m.Status().Last; got != last || len(old.answers) != 2 || len(p.answers) != 0 {
		t.Errorf("%d entries, answers %+v and %+v", got-last, old.answers, p.answers)
	}
	// Nor does it take the session back, in whatever order the two are heard of.
	l.m.Clients.Attach(old.conn, old.session)
	p.want(release("k", "p"), command.OK)
}

// What an old connection has sent and was not proposed yet is void when the session comes on
// another.
func TestPendingOfOldConnection(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	old := net.open(l)
	old.want(acquire("k", "p", time.Minute), command.Granted)
	old.send(release("k", "p"))
	p := net.dial(l, old.session)
	net.settle()
	if len(p.answers)+len(old.answers) != 2 {
		t.Errorf("%+v, %+v", old.answers, p.answers)
	}
}

// The last words of a client that goes are carried out, if it does not come back.
func TestLastWords(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	p, q := net.open(l), net.open(l)
	p.want(acquire("k", "p", time.Minute), command.Granted)
	p.send(release("k", "p"))
	l.m.Clients.Detach(p.conn)
	net.settle()
	q.want(tryLock("k", "q", time.Minute), command.Granted)
	if len(p.answers) != 2 {
		t.Error("answered although it was gone")
	}
	if n := len(l.m.Clients.byConn) + len(l.m.Clients.bySession); n != 2 {
		t.Errorf("%d connections and sessions are left", n)
	}
}

// Answers to a session that opens go where it was last asked for.
func TestOpenOnTwoConnections(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	open := command.Command{Op: command.Open, ID: command.SessionID{7}, TTL: time.Hour}
	p, q := net.dial(l, 0), net.dial(l, 0)
	q.send(open)
	p.send(open) // older, though it is heard of later
	net.settle()
	if len(q.answers) != 1 || len(p.answers) != 0 {
		t.Fatalf("%+v, %+v", p.answers, q.answers)
	}
	q.session = q.answers[0].Reply.Number
	q.want(acquire("k", "q", time.Minute), command.Granted)
	if n := len(l.m.Clients.opening); n != 0 {
		t.Errorf("%d are left", n)
	}
}

// What waits is bounded: who goes on sending is redirected, and gets no answer that could be
// taken for an outcome.
func TestPendingIsBounded(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	p := net.open(l)
	l.cut = true
	net.settle()
	sent := 0
	for !p.gone && sent < 2*maxPending {
		for range 1000 {
			p.send(acquire("k", "p", time.Minute))
			sent++
		}
	}
	if !p.gone || !l.m.Clients.Busy() {
		t.Fatalf("%d commands, busy: %v", sent, l.m.Clients.Busy())
	}
	if len(p.answers) != 1 {
		t.Error("answered")
	}
	l.m.Clients.Submit(p.conn, []command.Command{acquire("k", "p", time.Minute)})
	if n := len(l.m.Clients.pending.commands); n > maxPending {
		t.Errorf("%d commands wait", n)
	}
}

// A command that fits into no entry is refused for good.
func TestHugeCommand(t *testing.T) {
	net := newNetwork(t, 1)
	p := net.open(net.leader())
	c := acquire("k", "p", time.Minute)
	c.Meta = string(make([]byte, maxBatch))
	p.want(c, command.Invalid)
}
