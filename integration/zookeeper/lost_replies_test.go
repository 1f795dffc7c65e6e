package zookeeper_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/integration/internal/persistent"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestConformanceWithLostReplies runs the suite while each client loses the reply to
// its n-th create, list, look at a node, sync, watch and barrier: it was carried out,
// and nobody is told. The core asks again, as package persistent does here. What the
// core makes of a lost reply to Unlock and Evict, whose outcome cannot be had by asking
// again, is in client_test.go.
func TestConformanceWithLostReplies(t *testing.T) {
	for n, name := range []string{"first", "second", "third"} {
		t.Run(name, func(t *testing.T) {
			s := servers.Start(t, servers.ZooKeeper)
			drivertest.Run(t, harness([]string{s.Addr()}, restart(s), func(t drivertest.T, proxies []*proxy.Proxy, ns string) driver.Backend {
				b, p := &releasing{Backend: plain(t, proxies, ns)}, proxies[0]
				for _, lost := range []func([]byte) bool{
					proxy.ZKOp("create"), creates, proxy.ZKOp("getChildren2"), proxy.ZKOp("exists"), proxy.ZKOp("sync"),
					proxy.ZKOp("createContainer"), proxy.ZKOp("getData"), barriers(ns),
				} {
					p.LoseReplyTo(b.outside(lost), n+1)
				}
				return persistent.New(b)
			}))
		})
	}
}

// releasing knows when a Release is under way. What it finds to end, if the reply to a
// look of its own is lost, package persistent cannot tell: that is in client_test.go.
type releasing struct {
	driver.Backend
	underWay atomic.Int32
}

func (r *releasing) Release(ctx context.Context, g driver.Grant) error {
	r.underWay.Add(1)
	defer r.underWay.Add(-1)
	return r.Backend.Release(ctx, g)
}

// outside matches the same while no Release is under way.
func (r *releasing) outside(matches func([]byte) bool) func([]byte) bool {
	return func(request []byte) bool { return matches(request) && r.underWay.Load() == 0 }
}

// barriers matches the transactions that only look at the namespace's node.
func barriers(ns string) func(request []byte) bool {
	return func(request []byte) bool {
		return proxy.ZKOpOf(request) == "multi" && proxy.ZKPath(request) == "/"+ns
	}
}
