package etcd_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestPausedLeaderWakesUp: a leader that was paused for longer than the TTL finds
// all leases that it knew ended when it wakes up, by its own clock, and may not know
// yet that it leads no more. etcd then sometimes ends leases that the new leader has
// kept alive (its issue 15247: the check that was added asks whether the member has
// been active of late, and the first thing that it does is to be active). We cannot
// prevent that. But the holder is told at once, and not by its next renewal or at its
// deadline; and the token of the next one is greater.
func TestPausedLeaderWakesUp(t *testing.T) {
	t.Parallel()
	const ttl = 3 * time.Second
	c := servers.StartCluster(t, servers.Etcd, 3)
	for range 2 {
		old, ns := c.Leader(t), locktest.Namespace()
		var others []string
		for _, m := range c.Members() {
			if m != old {
				others = append(others, m.Addr())
			}
		}
		addrs := strings.Join(others, ",")
		holder, waiter := open(t, addrs, ns, ttl), open(t, addrs, ns, time.Minute)
		held := locktest.ExpectLock(t, locktest.StartLock(t.Context(), holder, "k"), locktest.Electing)
		waiting := locktest.StartLock(t.Context(), waiter, "k")
		awaitWaiters(t, waiter, "k", 1)
		ended := servers.Metrics(t, old)[expired]
		old.Pause(t)
		paused := time.Now()
		c.LeaderAfter(t, old)
		locktest.AwaitRenewal(t, held, ttl, paused.Add(ttl+ttl/3))
		leader := c.LeaderAfter(t, old)
		endedByLeader := servers.Metrics(t, leader)[expired]
		old.Unpause(t)

		var next locktest.Attempt
		select {
		case next = <-waiting:
			granted := next.At
			locktest.Await(t, ttl/3, "the holder is told", held.Done())
			t.Logf("told within %v of the next grant", time.Since(granted).Round(time.Millisecond))
			if err := held.Err(); !errors.Is(err, fencelock.ErrLost) {
				t.Errorf("Err = %v, want ErrLost", err)
			}
			if now := servers.Metrics(t, leader)[expired]; now != endedByLeader {
				t.Errorf("the new leader has ended %v leases", now-endedByLeader)
			}
			if servers.Metrics(t, old)[expired] == ended {
				t.Error("the old leader has not ended it")
			}
		case <-time.After(ttl):
			if err := held.Err(); err != nil {
				t.Fatalf("the lease: %v, and nobody else has the lock", err)
			}
			locktest.Unlock(t, held)
			next = locktest.Outcome(t, waiting, locktest.Soon)
		}
		if next.Err != nil || next.Lease.Token() <= held.Token() {
			t.Fatalf("the next: %v, %v; want a token above %v", next.Lease, next.Err, held.Token())
		}
		locktest.Unlock(t, next.Lease)
	}
}

// expired counts the leases that a member has ended because their time was over.
const expired = "etcd_debugging_server_lease_expired_total"
