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
// nothing else: the holder holds, by the same token, those who wait keep their places,
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
