package zookeeper_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestServerAwayForLongerThanTheTTL: the holder is told at its deadline, and its
// client goes on when the server is back. One that waits for less than the server was
// away gets no lock; another gets it.
func TestServerAwayForLongerThanTheTTL(t *testing.T) {
	t.Parallel()
	const ttl = time.Second
	s, ns := servers.Start(t, servers.ZooKeeper), locktest.Namespace()
	holder, impatient, patient := open(t, s.Addr(), ns, ttl), open(t, s.Addr(), ns, ttl), open(t, s.Addr(), ns, 50*time.Second)
	var book locktest.Ledger
	held := lock(t, holder, "k")
	book.Record(t, held)
	tires, cancel := contextFor(t, 2*time.Second)
	defer cancel()
	soonTired := locktest.StartLock(tires, impatient, "k")
	awaitWaiters(t, holder, "k", 1)
	untiring := locktest.StartLock(t.Context(), patient, "k")
	awaitWaiters(t, holder, "k", 2)

	s.Kill(t)
	deadline := held.ValidUntil() // no renewal can be under way any more
	locktest.ExpectLost(t, held, ttl+locktest.Slack)
	if late := time.Since(deadline); late < 0 || late > locktest.Slack {
		t.Errorf("the holder is told %v after its deadline", late)
	}
	if a := locktest.Outcome(t, soonTired, 2*time.Second+locktest.Slack); a.Lease != nil || !errors.Is(a.Err, context.DeadlineExceeded) &&
		!errors.Is(a.Err, fencelock.ErrUnavailable) {
		t.Errorf("Lock = %v, %v; want the error of its context, or ErrUnavailable", a.Lease, a.Err)
	}
	s.Restart(t)
	l := locktest.ExpectLock(t, untiring, 2*soon)
	book.Record(t, l)
	locktest.Unlock(t, l)
	book.TakeTurns(t, 2*soon, "k", holder, impatient, patient)
}

// TestHoldersCutOff: a holder is cut off, and loses its lease in time.
func TestHoldersCutOff(t *testing.T) {
	t.Parallel()
	inTurn(t, part{"ClientCutOff", clientCutOff}, part{"ServerCutOff", serverCutOff}, part{"DeposedLeader", deposedLeader})
}

// clientCutOff: a holder that is cut off from all servers loses its lease by its own
// clock before another gets the lock.
func clientCutOff(t *testing.T, c *servers.Cluster) {
	const ttl = 2 * time.Second
	ns := locktest.Namespace()
	leader := c.Leader(t)
	holder, waiter := sit(t, c, others(c, leader)[0], ns, ttl), sit(t, c, leader, ns, time.Minute/2)
	loseTo(t, holder, waiter, ttl, holder.cut, holder.heal)
}

// serverCutOff: so does one whose only server is cut off from the others, also if that
// was the leader.
func serverCutOff(t *testing.T, c *servers.Cluster) {
	for _, test := range []struct {
		locktest.Fault
		leads bool
	}{
		{locktest.Paused, true}, {locktest.CutOff, true}, {locktest.Deaf, true}, {locktest.Mute, true}, {locktest.CutOff, false},
	} {
		name := "follower " + test.Name
		if test.leads {
			name = "leader " + test.Name
		}
		t.Run(name, func(t *testing.T) {
			const ttl = 2 * time.Second
			awaitWhole(t, c)
			ns, server := locktest.Namespace(), c.Leader(t)
			if !test.leads {
				server = others(c, server)[0]
			}
			holder, waiter := alone(t, c, server, ns, ttl), sit(t, c, others(c, server)[0], ns, time.Minute/2)
			var over func()
			loseTo(t, holder, waiter, ttl, func() { over = test.Inject(t, c, server) }, func() { over() })
		})
	}
}

// loseTo has the holder lose its lease to the waiter by what begins.
func loseTo(t *testing.T, holder, waiter seat, ttl time.Duration, begin, end func()) {
	t.Helper()
	var book locktest.Ledger
	held := lock(t, holder.Client, "k")
	book.Record(t, held)
	next := make(chan *fencelock.Lease, 1)
	go func() {
		l := lockOrNil(t, waiter.Client, "k")
		if l != nil {
			book.Record(t, l) // at once: the holder must be done by now
		}
		next <- l
	}()
	awaitWaiters(t, waiter.Client, "k", 1)
	begin()
	began := time.Now()
	// One that is deaf or mute may pass on what reaches it until it is deposed.
	locktest.ExpectLost(t, held, ttl+soon)
	t.Logf("lost after %v", time.Since(began).Round(time.Millisecond))
	l := <-next
	if l == nil {
		return
	}
	t.Logf("granted after %v", time.Since(began).Round(time.Millisecond))
	end()
	locktest.Unlock(t, l)
	again := locktest.ExpectLock(t, locktest.StartLock(t.Context(), holder, "k", fencelock.WithTTL(20*time.Second)), 2*soon)
	book.Record(t, again)
	locktest.Unlock(t, again)
}

// deposedLeader: a leader that is cut off goes on to answer reads and syncs, until it
// notices. A renewal that it confirmed would be worth nothing: the others may have
// elected another by then, and let the session expire.
func deposedLeader(t *testing.T, c *servers.Cluster) {
	leader, ns := c.Leader(t), locktest.Namespace()
	b, server := dial(t, leader.Addr(), ns), raw(t, leader.Addr())
	g, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "holder", TTL: 20 * time.Second, Wait: true})
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	if out := b.Renew(t.Context(), []driver.Grant{g}); out[0].Err != nil {
		t.Fatalf("Renew: %v", out[0].Err)
	}
	over := locktest.CutOff.Inject(t, c, leader)
	_, synced := server.Sync("/" + ns)
	_, _, read := server.Exists("/" + ns)
	if synced != nil || read != nil {
		t.Fatalf("it answers no sync (%v) or no read (%v): nothing is tested", synced, read)
	}
	ctx, cancel := contextFor(t, 3*time.Second)
	defer cancel()
	if out := b.Renew(ctx, []driver.Grant{g}); out[0].Err == nil || errors.Is(out[0].Err, driver.ErrNotHeld) {
		t.Errorf("Renew = %+v by a leader that is cut off, want no answer", out[0])
	}
	if next := c.LeaderAfter(t, leader); next == leader {
		t.Error("no other was elected: nothing is tested")
	}
	over()
	locktest.Eventually(t, soon, "the grant is renewed", func() bool { return b.Renew(t.Context(), []driver.Grant{g})[0].Err == nil })
	release(t, b, g)
}
