package member

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

func evict(key, attemptID string) command.Command {
	return command.Command{Op: command.EvictClaim, Key: key, AttemptID: attemptID}
}

// An eviction of one attempt ends its grant, and no other's; it ends nobody's wait. The holder is told, and the log has
// nothing that earlier releases do not know.
func TestEvictClaim(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	p, q, o := net.open(l), net.open(l), net.open(l)
	p.want(acquire("k", "p", time.Minute), command.Granted)
	q.want(acquire("k", "q", time.Minute), command.Waiting)
	o.want(evict("k", "q"), command.NotHeld)
	o.want(evict("k", "nobody"), command.NotHeld)
	o.want(evict("free", "p"), command.NotHeld)
	if s := o.want(inspect("k"), command.OK).Status; s.AttemptID != "p" || s.Waiters != 1 {
		t.Fatalf("%+v", s)
	}
	o.want(evict("k", "p"), command.OK)
	o.want(evict("k", "p"), command.NotHeld)
	if len(p.pushes) != 1 || p.pushes[0].Claim.Code != command.Evicted {
		t.Errorf("the holder is told %+v", p.pushes)
	}
	if len(q.pushes) != 1 || q.pushes[0].Claim.Code != command.Granted {
		t.Errorf("the next is told %+v", q.pushes)
	}
	if len(l.m.proposals.evictions) != 0 {
		t.Errorf("%v is left", l.m.proposals.evictions)
	}
}

// An eviction that a leader has carried out and not answered is answered by the next with what came of it.
func TestEvictClaimAgain(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	p, o := net.open(l), net.open(l)
	p.want(acquire("k", "p", time.Minute), command.Granted)
	o.want(evict("k", "p"), command.OK)
	p.want(acquire("k", "other", time.Minute), command.Granted)
	again := net.dial(l, o.session)
	again.send(command.Command{Op: command.EvictClaim, Key: "k", AttemptID: "p", Seq: o.seq})
	net.settle()
	if r, ok := again.reply(o.seq); !ok || r.Code != command.OK {
		t.Errorf("%+v, %v", r, ok)
	}
	again.seq = o.seq
	if s := again.want(inspect("k"), command.OK).Status; s.AttemptID != "other" {
		t.Errorf("%+v", s)
	}
}

// A page is read without the log, and tells what is left by now; who is refused is told who holds.
func TestListHeld(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	p := net.open(l)
	for i := range 5 {
		c := acquire(key(i), "p", time.Minute)
		c.Meta = "who\x00more"
		p.want(c, command.Granted)
	}
	last := l.m.Status().Last
	r := p.want(command.Command{Op: command.ListHeld, Key: "key-", Claims: []uint64{0, 3}}, command.OK)
	rest := p.want(command.Command{Op: command.ListHeld, Key: "key-", Claims: []uint64{r.Number, 3}}, command.OK)
	if len(r.Locks) != 3 || len(rest.Locks) != 2 || rest.Number != 0 || rest.Locks[1].Meta != "who\x00more" {
		t.Errorf("%+v\n%+v", r, rest)
	}
	held := p.want(tryLock(key(0), "q", time.Minute), command.Held)
	if s := held.Status; !s.Held || s.Meta != "who" || s.Left <= 0 || s.Left > time.Minute {
		t.Errorf("%+v", s)
	}
	if now := l.m.Status().Last; now != last {
		t.Errorf("%d entries", now-last)
	}
	p.want(command.Command{Op: command.EvictClaim + 1, Key: "k"}, command.Invalid)
	p.want(inspect("k"), command.OK)
}
