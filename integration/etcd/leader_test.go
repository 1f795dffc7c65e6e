package etcd_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestLeaderLost: whatever happens to the leader, the holder keeps its lease, which
// is renewed with the new one; a waiter keeps its place, and gets the lock when it
// is unlocked; another is told that it is held.
func TestLeaderLost(t *testing.T) {
	t.Parallel()
	c := servers.StartCluster(t, servers.Etcd, 3)
	addrs := strings.Join(c.Addrs(), ",")
	for _, d := range locktest.Disasters() {
		t.Run(d.Name, func(t *testing.T) {
			const ttl = 12 * time.Second
			ns := locktest.Namespace()
			var book locktest.Ledger
			holder, waiter, other := open(t, addrs, ns, ttl), open(t, addrs, ns, ttl), open(t, addrs, ns, ttl)
			held := locktest.Lock(t, holder, "k")
			book.Enter(t, held)
			waiting := locktest.StartLock(t.Context(), waiter, "k")
			awaitWaiters(t, other, "k", 1)

			old := c.Leader(t)
			over := d.Strike(t, c, old)
			began := time.Now()
			c.LeaderAfter(t, old)
			locktest.Survivors{Held: held, Waiting: waiting, Other: other, TTL: ttl, Book: &book}.HandOver(t, began)
			over()
			// Not by the holder's session: see TestPausedLeaderWakesUp.
			third := locktest.ExpectLock(t, locktest.StartLock(t.Context(), open(t, addrs, ns, ttl), "k"), locktest.Electing)
			book.Enter(t, third)
			locktest.Unlock(t, third)
			expectNothingLeft(t, raw(t, c.Addrs()...), ns)
		})
	}
}

// TestClientWithTheMinority: a holder whose only member is cut off from the others
// loses its lease by its own clock before another gets the lock. A member that led
// until then cannot renew it.
func TestClientWithTheMinority(t *testing.T) {
	t.Parallel()
	c := servers.StartCluster(t, servers.Etcd, 3)
	for _, name := range []string{"leader", "follower"} {
		for _, d := range locktest.Disasters() {
			if d.Name == locktest.Killed.Name || name == "follower" && d.Name != locktest.CutOff.Name {
				continue // it answers nobody; it has less to say than a leader
			}
			t.Run(name+" "+d.Name, func(t *testing.T) {
				const ttl = 2 * time.Second
				ns := locktest.Namespace()
				var book locktest.Ledger
				member := c.Leader(t)
				var others []string
				for _, m := range c.Members() {
					if name == "follower" && !c.Leads(m) {
						member = m
					}
				}
				for _, m := range c.Members() {
					if m != member {
						others = append(others, m.Addr())
					}
				}
				holder := open(t, member.Addr(), ns, ttl)
				waiter := open(t, strings.Join(others, ","), ns, time.Minute)
				held := locktest.ExpectLock(t, locktest.StartLock(t.Context(), holder, "k"), locktest.Electing)
				book.Enter(t, held)
				waiting := locktest.StartLock(t.Context(), waiter, "k")
				awaitWaiters(t, waiter, "k", 1)

				over := d.Strike(t, c, member)
				began := time.Now()
				// One that is deaf or mute may pass on what reaches it for a while:
				// until the others have elected another, or it has noticed.
				var next *fencelock.Lease
				got := make(chan struct{})
				go func() {
					defer close(got)
					if a := <-waiting; a.Err == nil {
						next = a.Lease
						book.Enter(t, next)
					}
				}()
				locktest.ExpectLost(t, held, ttl+locktest.Electing)
				t.Logf("lost after %v", time.Since(began).Round(time.Millisecond))
				locktest.Await(t, 2*ttl+locktest.Electing, "the next one gets the lock", got)
				t.Logf("granted after %v", time.Since(began).Round(time.Millisecond))
				over()
				if next == nil {
					t.Fatal("the waiter failed")
				}
				locktest.Unlock(t, next)
				again := locktest.ExpectLock(t, locktest.StartLock(t.Context(), holder, "k", fencelock.WithTTL(time.Minute)), locktest.Electing)
				book.Enter(t, again)
				locktest.Unlock(t, again)
			})
		}
	}
}
