package etcd_test

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// disaster is something that happens to one member of a cluster, and its end.
type disaster struct {
	name  string
	begin func(t *testing.T, c *servers.Cluster, m *servers.Server)
	end   func(t *testing.T, c *servers.Cluster, m *servers.Server)
}

var disasters = []disaster{
	{"killed", func(t *testing.T, _ *servers.Cluster, m *servers.Server) { m.Kill(t) }, restart},
	{"paused", func(t *testing.T, _ *servers.Cluster, m *servers.Server) { m.Pause(t) }, unpause},
	{"cut off", func(t *testing.T, c *servers.Cluster, m *servers.Server) { c.Cut(t, m) }, heal},
	{"deaf", func(t *testing.T, c *servers.Cluster, m *servers.Server) { c.CutInbound(t, m) }, heal},
	{"mute", func(t *testing.T, c *servers.Cluster, m *servers.Server) { c.CutOutbound(t, m) }, heal},
}

// strike lets it happen. What it returns ends it, as does the test's end.
func (d disaster) strike(t *testing.T, c *servers.Cluster, m *servers.Server) (over func()) {
	t.Helper()
	over = sync.OnceFunc(func() { d.end(t, c, m) })
	t.Cleanup(over)
	d.begin(t, c, m)
	return over
}

func restart(t *testing.T, _ *servers.Cluster, m *servers.Server) { m.Restart(t) }
func unpause(t *testing.T, _ *servers.Cluster, m *servers.Server) { m.Unpause(t) }
func heal(t *testing.T, c *servers.Cluster, m *servers.Server)    { c.Heal(t, m) }

// TestLeaderLost: whatever happens to the leader, the holder keeps its lease, which
// is renewed with the new one; a waiter keeps its place, and gets the lock when it
// is unlocked; another is told that it is held.
func TestLeaderLost(t *testing.T) {
	t.Parallel()
	c := servers.StartCluster(t, servers.Etcd, 3)
	addrs := strings.Join(c.Addrs(), ",")
	for _, d := range disasters {
		t.Run(d.name, func(t *testing.T) {
			const ttl = 12 * time.Second
			ns := namespace()
			var book ledger
			holder, waiter, other := open(t, addrs, ns, ttl), open(t, addrs, ns, ttl), open(t, addrs, ns, ttl)
			held := lock(t, holder, "k")
			book.enter(t, held)
			waiting := startLock(t.Context(), waiter, "k")
			awaitWaiters(t, other, "k", 1)

			old := c.Leader(t)
			over := d.strike(t, c, old)
			began := time.Now()
			c.LeaderAfter(t, old)
			expectHeldByAnother(t, other, "k")
			awaitRenewal(t, held, ttl, began)
			t.Logf("renewed after %v", time.Since(began).Round(time.Millisecond))
			unlock(t, held)
			unlocked := time.Now()
			second := expectLock(t, waiting, ttl/3+slack)
			t.Logf("handed over after %v", time.Since(unlocked).Round(time.Millisecond))
			book.enter(t, second)

			unlock(t, second)
			over()
			// Not by the holder's session: see TestPausedLeaderWakesUp.
			third := expectLock(t, startLock(t.Context(), open(t, addrs, ns, ttl), "k"), electing)
			book.enter(t, third)
			unlock(t, third)
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
		for _, d := range disasters {
			if d.name == "killed" || name == "follower" && d.name != "cut off" {
				continue // it answers nobody; it has less to say than a leader
			}
			t.Run(name+" "+d.name, func(t *testing.T) {
				const ttl = 2 * time.Second
				ns := namespace()
				var book ledger
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
				held := expectLock(t, startLock(t.Context(), holder, "k"), electing)
				book.enter(t, held)
				waiting := startLock(t.Context(), waiter, "k")
				awaitWaiters(t, waiter, "k", 1)

				over := d.strike(t, c, member)
				began := time.Now()
				// One that is deaf or mute may pass on what reaches it for a while:
				// until the others have elected another, or it has noticed.
				var next *fencelock.Lease
				got := make(chan struct{})
				go func() {
					defer close(got)
					if a := <-waiting; a.err == nil {
						next = a.lease
						book.enter(t, next)
					}
				}()
				expectLost(t, held, ttl+electing)
				t.Logf("lost after %v", time.Since(began).Round(time.Millisecond))
				await(t, "the next one gets the lock", 2*ttl+electing, got)
				t.Logf("granted after %v", time.Since(began).Round(time.Millisecond))
				over()
				if next == nil {
					t.Fatal("the waiter failed")
				}
				unlock(t, next)
				again := expectLock(t, startLock(t.Context(), holder, "k", fencelock.WithTTL(time.Minute)), electing)
				book.enter(t, again)
				unlock(t, again)
			})
		}
	}
}
