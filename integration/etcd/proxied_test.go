package etcd_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestConformanceBehindAProxy runs the suite through etcd grpc-proxy. What the suite does to the
// server by itself, it does without the proxy.
func TestConformanceBehindAProxy(t *testing.T) {
	t.Parallel()
	c := servers.StartCluster(t, servers.EtcdProxied, 2)
	member, behind := c.Members()[0], c.Members()[1]
	h := harnessAt(c, []string{behind.Addr()}, []string{member.Addr()}, plain)
	h.TTL = 5 * time.Second // the shortest there is behind a proxy
	h.Failover = func(t drivertest.T) {
		member.Kill(t)
		member.Restart(t)
	}
	drivertest.Run(t, h)
}

// TestShortLeasesBehindAProxy: they are made longer, and none is lost without a fault. Open says so.
func TestShortLeasesBehindAProxy(t *testing.T) {
	t.Parallel()
	behind, ns := servers.StartCluster(t, servers.EtcdProxied, 2).Members()[1], locktest.Namespace()
	if w := dial(t, behind.Addr(), ns).Info().Warnings; len(w) != 1 || !strings.Contains(w[0], "proxy") {
		t.Errorf("the warnings are %q", w)
	}
	var held []*fencelock.Lease
	for _, ttl := range []time.Duration{time.Second, 2 * time.Second} {
		held = append(held, holders(t, 3, "etcd://"+behind.Addr(), ns+"/"+ttl.String(), ttl)...)
	}
	<-time.After(10 * time.Second)
	expectKept(t, held, 5*time.Second)
}

// TestListHeldBehindAProxy: what is told behind etcd grpc-proxy is what the members have.
func TestListHeldBehindAProxy(t *testing.T) {
	t.Parallel()
	behind, ns := servers.StartCluster(t, servers.EtcdProxied, 2).Members()[1], locktest.Namespace()
	b := dial(t, behind.Addr(), ns)
	for i := range 5 {
		g := take(t, b, "k"+strconv.Itoa(i), "attempt-"+strconv.Itoa(i), time.Minute)
		if found := locktest.ListHeld(t, b, "k", 2); len(found) != i+1 || found[g.Key].Holders[0].Token != g.Token {
			t.Errorf("with %d locks the list is %+v", i+1, found)
		}
	}
	if err := b.Evict(t.Context(), "k2", "attempt-2"); err != nil {
		t.Errorf("Evict: %v", err)
	}
	if found := locktest.ListHeld(t, b, "", 3); len(found) != 4 {
		t.Errorf("after the eviction the list is %+v", found)
	}
}
