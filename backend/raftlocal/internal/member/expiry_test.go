package member

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

func (p *peer) expired() bool {
	for _, x := range p.pushes {
		if x.Claim.Code == command.Expired {
			return true
		}
	}
	return false
}

func TestExpiryIsNeverEarly(t *testing.T) {
	sizes(t, func(t *testing.T, n int) {
		net := newNetwork(t, n)
		l := net.leader()
		p, q := net.open(l), net.open(l)
		ttl := 3 * time.Second
		begin := net.now
		p.want(acquire("k", "p", ttl), command.Granted)
		q.want(acquire("k", "q", time.Hour), command.Waiting)
		for !p.expired() {
			net.pass(tick)
			if net.now-begin > 2*ttl {
				t.Fatal("never expired")
			}
		}
		if took := net.now - begin; took < ttl || took > ttl+tick {
			t.Errorf("expired after %v", took)
		}
		if len(q.pushes) != 1 || q.pushes[0].Claim.Code != command.Granted {
			t.Errorf("the next: %+v", q.pushes)
		}
	})
}

// A command that comes in between two ticks is stamped with its own time, not with the tick's.
func TestStampIsNotTheTicks(t *testing.T) {
	net := newNetwork(t, 1)
	l := net.leader()
	p := net.open(l)
	net.now += tick - time.Millisecond
	begin := net.now
	p.want(acquire("k", "p", time.Second), command.Granted)
	net.now += time.Millisecond
	for !p.expired() {
		net.pass(tick)
	}
	if took := net.now - begin; took < time.Second {
		t.Errorf("expired after %v", took)
	}
}

// What is left of a lease survives an election: it is neither cut nor begun again. Checkpoints
// see to it even if nobody writes.
func TestLeaseSurvivesElection(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	p := net.open(l)
	ttl := 30 * time.Second
	p.want(acquire("k", "p", ttl), command.Granted)
	begin := net.now
	net.pass(20 * time.Second)
	l.kill()
	l = net.leader()
	outage := net.now - begin - 20*time.Second
	q := net.open(l)
	for {
		if r := q.do(tryLock("k", "q", time.Hour)); r.Code == command.Granted {
			break
		}
		net.pass(tick)
	}
	took := net.now - begin
	if took < ttl || took > ttl+outage+time.Second+4*tick {
		t.Errorf("expired after %v; the outage took %v", took, outage)
	}
}

// While there is no majority the clock stands still.
func TestClockStopsWithoutMajority(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	p := net.open(l)
	p.want(acquire("k", "p", 2*time.Second), command.Granted)
	for _, o := range net.others(l) {
		o.cut = true
	}
	net.pass(time.Minute)
	for _, o := range net.others(l) {
		o.cut = false
	}
	l = net.leader()
	q := net.open(l)
	q.want(tryLock("k", "q", time.Hour), command.Held)
	net.pass(3 * time.Second)
	q.want(tryLock("k", "q", time.Hour), command.Granted)
}

// A leader that slept, or whose disk hung, does not let leases end that nobody could renew.
func TestSleepIsNotCounted(t *testing.T) {
	net := newNetwork(t, 1)
	l := net.leader()
	p := net.open(l)
	p.want(acquire("k", "p", 2*time.Second), command.Granted)
	net.now += time.Hour
	net.settle()
	net.pass(time.Second)
	if p.expired() {
		t.Error("expired while the leader slept")
	}
	net.pass(2 * time.Second)
	if !p.expired() {
		t.Error("never expired")
	}
}

// With claims and no commands there is one entry a second; with none, none.
func TestCheckpoints(t *testing.T) {
	net := newNetwork(t, 3)
	l := net.leader()
	p := net.open(l)
	p.want(acquire("k", "p", time.Hour), command.Granted)
	last := l.m.Status().Last
	net.pass(20 * time.Second)
	if n := l.m.Status().Last - last; n < 18 || n > 20 {
		t.Errorf("%d entries in 20 s", n)
	}
	p.want(release("k", "p"), command.OK)
	last = l.m.Status().Last
	net.pass(20 * time.Second)
	if n := l.m.Status().Last - last; n != 0 {
		t.Errorf("%d entries in 20 s with nothing to keep", n)
	}
}
