package raftlocal_test

import (
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestFailOverTime: the leader is killed under load, again and again. The time from the last
// grant before to the first after is that of an election, by half a second to one that the others
// wait before they begin, and of the clients' way to the new leader.
func TestFailOverTime(t *testing.T) {
	t.Parallel()
	c, ns := servers.StartCluster(t, servers.Raft, 3), locktest.Namespace()
	p := startPulse(t, c.Addrs(), ns, 8)
	var took, elected []time.Duration
	for range 5 {
		old := c.Leader(t)
		p.await(t, time.Now())
		began := time.Now()
		old.Kill(t)
		c.LeaderAfter(t, old)
		elected = append(elected, time.Since(began))
		took = append(took, p.longest(t, began))
		old.Restart(t)
	}
	p.stop(t)
	t.Logf("another leads after %v", elected)
	report(t, "fail-over", took, 5*time.Second)
	expectNothingLeft(t, member(c.Addrs(), ns))
}

// TestTakeOverTime: the process that serves a directory is killed under load, again and again,
// and another takes over at once, with all that is held.
func TestTakeOverTime(t *testing.T) {
	t.Parallel()
	d := startDirectory(t, filepath.Join(t.TempDir(), "locks"), 2)
	ns := locktest.Namespace()
	const ttl = 10 * time.Second
	var took []time.Duration
	for range 7 {
		// The clients may come to serve, and are closed then, so that it is another's turn.
		t.Run("kill", func(t *testing.T) {
			d.handOff()
			holder := share(t, d.path, ns, ttl)
			held := locktest.Lock(t, holder, "held")
			p := startPulseOf(t, 4, share(t, d.path, ns, ttl), share(t, d.path, ns, ttl))
			began := time.Now()
			d.killServer(t)
			took = append(took, p.longest(t, began))
			p.stop(t)
			d.hire(t)
			locktest.AwaitRenewal(t, held, ttl, began)
			locktest.Unlock(t, held)
		})
	}
	report(t, "take-over", took, 2*time.Second)
}

// report tells what several took, and wants the median to be below a bound.
func report(t *testing.T, what string, took []time.Duration, most time.Duration) {
	t.Helper()
	slices.Sort(took)
	median := took[len(took)/2]
	t.Logf("%s: median %v, max %v, of %v", what, median.Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond), took)
	if median > most {
		t.Errorf("%s takes %v, want %v at most", what, median, most)
	}
}

// TestLeaderLost: whatever happens to the leader, the holder keeps its lease, which is renewed
// with the new one; a waiter keeps its position, and gets the lock when it is unlocked; another is
// told that it is held.
func TestLeaderLost(t *testing.T) {
	t.Parallel()
	c := servers.StartCluster(t, servers.Raft, 3)
	for _, d := range locktest.Faults() {
		t.Run(d.Name, func(t *testing.T) {
			const ttl = 12 * time.Second
			ns := locktest.Namespace()
			var book locktest.Ledger
			holder, waiter, other := open(t, c.Addrs(), ns, ttl), open(t, c.Addrs(), ns, ttl), open(t, c.Addrs(), ns, ttl)
			held := locktest.Lock(t, holder, "k")
			book.Record(t, held)
			waiting := locktest.StartLock(t.Context(), waiter, "k")
			locktest.AwaitWaiters(t, locktest.Electing, other, "k", 1)

			old := c.Leader(t)
			over := d.Inject(t, c, old)
			began := time.Now()
			c.LeaderAfter(t, old)
			locktest.Survivors{Held: held, Waiting: waiting, Other: other, TTL: ttl, Book: &book}.HandOff(t, began)
			over()
			third := locktest.ExpectLock(t, locktest.StartLock(t.Context(), holder, "k"), locktest.Electing)
			book.Record(t, third)
			locktest.Unlock(t, third)
			expectNothingLeft(t, member(c.Addrs(), ns))
		})
	}
}
