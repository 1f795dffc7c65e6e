package zookeeper_test

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestServersLost: one server or all are lost, and no lease.
func TestServersLost(t *testing.T) {
	t.Parallel()
	inTurn(t, part{"LeaderLost", leaderLost}, part{"FollowerLost", followerLost}, part{"AllRestarted", allRestarted})
}

// leaderLost: whatever happens to the leader, the holder that it serves keeps its
// lease; a waiter keeps its position, and gets the lock when it is unlocked; another is
// told that it is held.
func leaderLost(t *testing.T, c *servers.Cluster) {
	for _, d := range locktest.Faults() {
		t.Run(d.Name, func(t *testing.T) {
			awaitWhole(t, c)
			leader := c.Leader(t)
			followers := others(c, leader)
			survive(t, c, d, leader, leader, followers[0], followers[1])
		})
	}
}

// followerLost: the same where it happens to the server of the holder, or of the
// waiter, and the leader stays.
func followerLost(t *testing.T, c *servers.Cluster) {
	for _, who := range []string{"holder", "waiter"} {
		for _, d := range []locktest.Fault{locktest.Killed, locktest.CutOff} {
			t.Run(who+"'s "+d.Name, func(t *testing.T) {
				awaitWhole(t, c)
				leader := c.Leader(t)
				followers := others(c, leader)
				if who == "holder" {
					survive(t, c, d, followers[0], followers[0], leader, leader)
				} else {
					survive(t, c, d, followers[0], leader, followers[0], leader)
				}
			})
		}
	}
}

// survive has a client on each of three servers, and lets a disaster happen to one.
func survive(t *testing.T, c *servers.Cluster, d locktest.Fault, to, holders, queues, thirds *servers.Server) {
	ttl := 12 * time.Second
	if d.Name == locktest.Deaf.Name {
		// The others hear of it and go on to elect it, which it cannot hear: that may
		// take them 15 s.
		ttl = 40 * time.Second
	}
	ns := locktest.Namespace()
	var book locktest.Ledger
	holder, waiter, third := sit(t, c, holders, ns, ttl), sit(t, c, queues, ns, ttl), sit(t, c, thirds, ns, ttl)
	held := lock(t, holder.Client, "k")
	book.Record(t, held)
	waiting := locktest.StartLock(t.Context(), waiter, "k")
	awaitWaiters(t, third.Client, "k", 1)

	led := c.Leads(to)
	over := d.Inject(t, c, to)
	began := time.Now()
	if led {
		c.LeaderAfter(t, to)
		t.Logf("another leads after %v", time.Since(began).Round(time.Millisecond))
	}
	locktest.Survivors{Held: held, Waiting: waiting, Other: third.Client, TTL: ttl, Book: &book}.HandOff(t, began)
	over()
	book.TakeTurns(t, soon, "k", third.Client, holder.Client, waiter.Client)
	if left := claims(t, raw(t, c.Addrs()...), parentOf(ns, "k")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
