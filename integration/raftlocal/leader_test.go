package raftlocal_test

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestLeaderLost: whatever happens to the leader, the holder keeps its lease, which is renewed
// with the new one; a waiter keeps its place, and gets the lock when it is unlocked; another is
// told that it is held.
func TestLeaderLost(t *testing.T) {
	t.Parallel()
	c := servers.StartCluster(t, servers.Raft, 3)
	for _, d := range locktest.Disasters() {
		t.Run(d.Name, func(t *testing.T) {
			const ttl = 12 * time.Second
			ns := locktest.Namespace()
			var book locktest.Ledger
			holder, waiter, other := open(t, c.Addrs(), ns, ttl), open(t, c.Addrs(), ns, ttl), open(t, c.Addrs(), ns, ttl)
			held := locktest.Lock(t, holder, "k")
			book.Enter(t, held)
			waiting := locktest.StartLock(t.Context(), waiter, "k")
			locktest.AwaitWaiters(t, locktest.Electing, other, "k", 1)

			old := c.Leader(t)
			over := d.Strike(t, c, old)
			began := time.Now()
			c.LeaderAfter(t, old)
			locktest.Survivors{Held: held, Waiting: waiting, Other: other, TTL: ttl, Book: &book}.HandOver(t, began)
			over()
			third := locktest.ExpectLock(t, locktest.StartLock(t.Context(), holder, "k"), locktest.Electing)
			book.Enter(t, third)
			locktest.Unlock(t, third)
			expectNothingLeft(t, member(c.Addrs(), ns))
		})
	}
}
