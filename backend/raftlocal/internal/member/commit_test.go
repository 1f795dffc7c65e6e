package member

import (
	"fmt"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

func sizes(t *testing.T, f func(t *testing.T, n int)) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n, " members"), func(t *testing.T) { f(t, n) })
	}
}

func TestCommit(t *testing.T) {
	sizes(t, func(t *testing.T, n int) {
		net := newNetwork(t, n)
		l := net.leader()
		p := net.open(l)
		first := p.want(acquire("k", "o1", time.Minute), command.Granted)
		p.want(release("k", "o1"), command.OK)
		second := p.want(acquire("k", "o2", time.Minute), command.Granted)
		if second.Token <= first.Token {
			t.Errorf("token %d after %d", second.Token, first.Token)
		}
		net.same()
	})
}

// One entry and one sync carry the commands of all clients.
func TestManyCommandsOneSync(t *testing.T) {
	sizes(t, func(t *testing.T, n int) {
		net := newNetwork(t, n)
		l := net.leader()
		var peers []*peer
		for range 4 {
			peers = append(peers, net.open(l))
		}
		net.pass(2 * tick)
		before, syncs := l.m.Status(), l.syncs
		for i, p := range peers {
			for j := range 100 {
				p.send(acquire(key(i*1000+j), "o", time.Minute))
			}
		}
		net.settle()
		for _, p := range peers {
			if len(p.answers) != 101 {
				t.Fatalf("%d answers", len(p.answers))
			}
			for i, a := range p.answers[1:] {
				if a.Seq != uint64(i+1) || a.Reply.Code != command.Granted {
					t.Fatalf("answer %d: %+v", i, a)
				}
			}
		}
		after := l.m.Status()
		if after.Last != before.Last+1 || l.syncs != syncs+1 {
			t.Errorf("%d entries and %d syncs for 400 commands", after.Last-before.Last, l.syncs-syncs)
		}
		net.same()
	})
}

// A hand-off is the entry of the release and one push.
func TestHandOff(t *testing.T) {
	sizes(t, func(t *testing.T, n int) {
		net := newNetwork(t, n)
		l := net.leader()
		p, q := net.open(l), net.open(l)
		p.want(acquire("k", "p", time.Minute), command.Granted)
		claim := q.want(acquire("k", "q", time.Minute), command.Waiting).Number
		last, syncs, answers := l.m.Status().Last, l.syncs, len(q.answers)
		p.want(release("k", "p"), command.OK)
		if got := l.m.Status().Last; got != last+1 || l.syncs != syncs+1 {
			t.Errorf("%d entries and %d syncs", got-last, l.syncs-syncs)
		}
		if len(q.answers) != answers || len(q.pushes) != 1 || q.pushes[0].Claim.Code != command.Granted || q.pushes[0].Claim.Number != claim {
			t.Errorf("answers %+v, pushes %+v", q.answers[answers:], q.pushes)
		}
	})
}

// Alone, a command costs a majority two messages each way: raft's notices that it is committed
// travel with what comes next.
func TestMessages(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	p := net.open(l)
	net.pass(2 * tick)
	sent := net.sent
	p.want(acquire("k", "p", time.Minute), command.Granted)
	if n := net.sent - sent; n != 4 {
		t.Errorf("%d messages", n)
	}
	net.same()
}

func TestIdleWritesNothing(t *testing.T) {
	sizes(t, func(t *testing.T, n int) {
		net := newNetwork(t, n)
		l := net.leader()
		net.pass(time.Second)
		last, syncs := l.m.Status().Last, l.syncs
		net.pass(5 * time.Minute)
		if got := l.m.Status().Last; got != last || l.syncs != syncs {
			t.Errorf("%d entries and %d syncs of nobody", got-last, l.syncs-syncs)
		}
	})
}

// More than fits into an entry takes several, in the same write.
func TestLargeBatch(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	p := net.open(l)
	last := l.m.Status().Last
	meta := string(make([]byte, 1000))
	for i := range 3000 {
		c := acquire(key(i), "o", time.Minute)
		c.Meta = meta
		p.send(c)
	}
	net.settle()
	if len(p.answers) != 3001 {
		t.Fatalf("%d answers", len(p.answers))
	}
	if n := l.m.Status().Last - last; n < 3 || n > 5 {
		t.Errorf("%d entries", n)
	}
	net.same()
}
