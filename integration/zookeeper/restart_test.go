package zookeeper_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// allRestarted: power fails everywhere at once, and comes back. That is an outage and
// nothing else: the holder holds, by the same token, those who wait keep their positions,
// and tokens go on to rise.
func allRestarted(t *testing.T, c *servers.Cluster) {
	const ttl = 30 * time.Second
	ns, addrs := locktest.Namespace(), strings.Join(c.Addrs(), ",")
	holder := open(t, addrs, ns, ttl)
	locktest.LosePower(t, c, holder, lock(t, holder, "k"), ttl, func() *fencelock.Client { return open(t, addrs, ns, ttl) })
	if left := claims(t, raw(t, c.Addrs()...), parentOf(ns, "k")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestRestartKeepsLeases: a server that is killed and comes back keeps leases, and
// positions in the queue.
func TestRestartKeepsLeases(t *testing.T) {
	t.Parallel()
	s, ns := servers.Start(t, servers.ZooKeeper), locktest.Namespace()
	holder, waiter := open(t, s.Addr(), ns, 20*time.Second), open(t, s.Addr(), ns, 20*time.Second)
	l := lock(t, holder, "k")
	next := make(chan *fencelock.Lease, 1)
	go func() { next <- lockOrNil(t, waiter, "k") }()
	awaitWaiters(t, holder, "k", 1)
	s.Kill(t)
	s.Restart(t)
	locktest.Eventually(t, soon, "the lease is renewed", func() bool { return l.Ensure(t.Context(), 15*time.Second) == nil })
	if st, err := holder.Inspect(t.Context(), "k"); err != nil || st.Waiters != 1 || !st.Held() || st.Holders[0].Token != l.Token() {
		t.Errorf("Inspect = %+v, %v after a restart", st, err)
	}
	if err := l.Unlock(t.Context()); err != nil {
		t.Errorf("Unlock: %v", err)
	}
	n := <-next
	if n == nil || n.Token() <= l.Token() {
		t.Fatalf("the waiter has %v after %v", n, l.Token())
	}
	if err := n.Unlock(t.Context()); err != nil {
		t.Errorf("Unlock: %v", err)
	}
}
