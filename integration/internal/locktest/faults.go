package locktest

import (
	"sync"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// Fault is something that happens to one member of a cluster, and its end.
type Fault struct {
	Name  string
	begin func(t T, c *servers.Cluster, m *servers.Server)
	end   func(t T, c *servers.Cluster, m *servers.Server)
}

// The faults there are. One that is deaf gets nothing from the others, one that is
// mute sends them nothing.
var (
	Killed = Fault{"killed", func(t T, _ *servers.Cluster, m *servers.Server) { m.Kill(t) }, restart}
	Paused = Fault{"paused", func(t T, _ *servers.Cluster, m *servers.Server) { m.Pause(t) }, unpause}
	CutOff = Fault{"cut off", func(t T, c *servers.Cluster, m *servers.Server) { c.Cut(t, m) }, heal}
	Deaf   = Fault{"deaf", func(t T, c *servers.Cluster, m *servers.Server) { c.CutInbound(t, m) }, heal}
	Mute   = Fault{"mute", func(t T, c *servers.Cluster, m *servers.Server) { c.CutOutbound(t, m) }, heal}
)

// Faults are all of them.
func Faults() []Fault { return []Fault{Killed, Paused, CutOff, Deaf, Mute} }

// Inject lets it happen. What it returns ends it, as does the test's end.
func (f Fault) Inject(t T, c *servers.Cluster, m *servers.Server) (over func()) {
	t.Helper()
	over = sync.OnceFunc(func() { f.end(t, c, m) })
	t.Cleanup(over)
	f.begin(t, c, m)
	return over
}

func restart(t T, _ *servers.Cluster, m *servers.Server) { m.Restart(t) }
func unpause(t T, _ *servers.Cluster, m *servers.Server) { m.Unpause(t) }
func heal(t T, c *servers.Cluster, m *servers.Server)    { c.Heal(t, m) }

// LosePower has power fail at all members at once, and come back. That is an outage and
// nothing else: the holder holds, by the same token, those who wait keep their positions,
// and tokens go on to rise. Those who wait are opened here; in the end the lock is free.
func LosePower(t T, c *servers.Cluster, holder *fencelock.Client, held *fencelock.Lease, ttl time.Duration, open func() *fencelock.Client) {
	t.Helper()
	var book Ledger
	book.Record(t, held)
	var waiting []<-chan Attempt
	for i := range 3 {
		waiting = append(waiting, StartLock(t.Context(), open(), held.Key()))
		AwaitWaiters(t, Electing, holder, held.Key(), i+1)
	}
	c.Kill(t)
	c.Restart(t)
	back := time.Now()
	AwaitWaiters(t, Electing, holder, held.Key(), len(waiting))
	if s, err := holder.Inspect(t.Context(), held.Key()); err != nil || !s.Held() || s.Holders[0].Token != held.Token() {
		t.Errorf("Inspect = %+v, %v; want token %v", s, err, held.Token())
	}
	AwaitRenewal(t, held, ttl, back)
	for _, w := range waiting {
		Unlock(t, held)
		held = ExpectLock(t, w, Electing)
		book.Record(t, held)
	}
	Unlock(t, held)
}

// Survivors are those to whom a disaster, which has begun, must not matter: one who
// holds a lock, one who waits for it, and another.
type Survivors struct {
	Held    *fencelock.Lease
	Waiting <-chan Attempt
	Other   *fencelock.Client
	TTL     time.Duration // of the holder and the waiter
	Book    *Ledger
}

// HandOff wants the other to be told that the lock is held, the lease to be renewed
// after the disaster began, and the waiter to keep its position: it gets the lock when that
// is unlocked, by the look that it takes once in a third of its TTL at the latest.
func (s Survivors) HandOff(t T, began time.Time) {
	t.Helper()
	ExpectHeldByAnother(t, s.Other, s.Held.Key())
	AwaitRenewal(t, s.Held, s.TTL, began)
	t.Logf("renewed after %v", time.Since(began).Round(time.Millisecond))
	select {
	case a := <-s.Waiting:
		t.Fatalf("the waiter has %v, %v beside the holder", a.Lease, a.Err)
	default:
	}
	Unlock(t, s.Held)
	unlocked := time.Now()
	next := ExpectLock(t, s.Waiting, s.TTL/3+Slack)
	t.Logf("handed off after %v", time.Since(unlocked).Round(time.Millisecond))
	s.Book.Record(t, next)
	Unlock(t, next)
}
