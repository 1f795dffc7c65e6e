package zookeeper_test

import (
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/backend/zookeeper"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestConformanceOfExistingConn runs the suite on connections that an application has.
func TestConformanceOfExistingConn(t *testing.T) {
	s := servers.Start(t, servers.ZooKeeper)
	h := harness([]string{s.Addr()}, restart(s), func(t drivertest.T, proxies []*proxy.Proxy, ns string) driver.Backend {
		const timeout = 10 * time.Second
		var c *zk.Conn
		locktest.Unlabelled(func() { c = connect(t, timeout, proxies[0].Addr()) })
		b, err := zookeeper.New(t.Context(), c, &zookeeper.Options{Namespace: ns, SessionTimeout: timeout})
		if err != nil {
			t.Fatalf("New: %v", err)
		}
		return b
	})
	h.Want.MaxTTL = 9 * time.Second
	h.Slack = 10 * time.Second // one that is cut off keeps its locks until the session expires
	drivertest.Run(t, h)
}
