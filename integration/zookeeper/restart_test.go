package zookeeper_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/servers"
)

// allRestarted: power fails everywhere at once, and comes back. That is an outage and
// nothing else: the holder holds, by the same token, those who wait keep their places,
// and tokens go on to rise.
func allRestarted(t *testing.T, c *servers.Cluster) {
	const ttl = 30 * time.Second
	ns, addrs := namespace(), strings.Join(c.Addrs(), ",")
	var book ledger
	holder := open(t, addrs, ns, ttl)
	held := lock(t, holder, "k")
	book.enter(t, held)
	var waiting []<-chan attempt
	for i := range 3 {
		waiting = append(waiting, startLock(t.Context(), open(t, addrs, ns, ttl), "k"))
		waiters(t, holder, "k", i+1)
	}
	c.Kill(t)
	c.Restart(t)
	back := time.Now()
	waiters(t, holder, "k", len(waiting))
	if s, err := holder.Inspect(t.Context(), "k"); err != nil || s.Token != held.Token() {
		t.Errorf("Inspect = %+v, %v; want token %v", s, err, held.Token())
	}
	awaitRenewal(t, held, ttl, back)
	for _, w := range waiting {
		unlock(t, held)
		held = expectLock(t, w, soon)
		book.enter(t, held)
	}
	unlock(t, held)
	if left := claims(t, raw(t, c.Addrs()...), parentOf(ns, "k")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}
