package zookeeper_test

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// leaderLost: whatever happens to the leader, the holder that it serves keeps its
// lease; a waiter keeps its place, and gets the lock when it is unlocked; another is
// told that it is held.
func leaderLost(t *testing.T, c *servers.Cluster) {
	for _, d := range []disaster{killed, paused, cutOff, deaf, mute} {
		t.Run(d.name, func(t *testing.T) {
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
		for _, d := range []disaster{killed, cutOff} {
			t.Run(who+"'s "+d.name, func(t *testing.T) {
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
func survive(t *testing.T, c *servers.Cluster, d disaster, to, holders, queues, thirds *servers.Server) {
	ttl := 12 * time.Second
	if d.name == deaf.name {
		// The others hear of it and go on to elect it, which it cannot hear: that may
		// take them 15 s.
		ttl = 40 * time.Second
	}
	ns := namespace()
	var book ledger
	holder, waiter, third := sit(t, c, holders, ns, ttl), sit(t, c, queues, ns, ttl), sit(t, c, thirds, ns, ttl)
	held := lock(t, holder.Client, "k")
	book.enter(t, held)
	waiting := startLock(t.Context(), waiter, "k")
	waiters(t, third.Client, "k", 1)

	led := c.Leads(to)
	over := d.strike(t, c, to)
	began := time.Now()
	if led {
		c.LeaderAfter(t, to)
		t.Logf("another leads after %v", time.Since(began).Round(time.Millisecond))
	}
	expectHeldByAnother(t, third.Client, "k")
	awaitRenewal(t, held, ttl, began)
	t.Logf("renewed after %v", time.Since(began).Round(time.Millisecond))
	select {
	case a := <-waiting:
		t.Fatalf("the waiter has %v, %v beside the holder", a.lease, a.err)
	default:
	}
	unlock(t, held)
	unlocked := time.Now()
	second := expectLock(t, waiting, ttl/3+slack)
	t.Logf("handed over after %v", time.Since(unlocked).Round(time.Millisecond))
	book.enter(t, second)
	unlock(t, second)
	over()
	for _, client := range []*fencelock.Client{third.Client, holder.Client, waiter.Client} {
		l := expectLock(t, startLock(t.Context(), client, "k"), soon)
		book.enter(t, l)
		unlock(t, l)
	}
	if left := claims(t, raw(t, c.Addrs()...), parentOf(ns, "k")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
