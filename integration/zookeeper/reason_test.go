package zookeeper_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestOpenWithoutMajority: one server of three lives, and cannot do anything. Open says so.
func TestOpenWithoutMajority(t *testing.T) {
	t.Parallel()
	c := servers.StartCluster(t, servers.ZooKeeper, 3)
	c.Members()[1].Kill(t)
	c.Members()[2].Kill(t)
	locktest.ExpectNoOpening(t, "zookeeper://"+strings.Join(c.Addrs(), ","), "majority")
	locktest.ExpectNoOpening(t, "zookeeper://"+c.Addrs()[0], "majority")
}

// TestLockSaysWhy: so do calls when the server goes away later.
func TestLockSaysWhy(t *testing.T) {
	t.Parallel()
	s := servers.Start(t, servers.ZooKeeper)
	p := through(t, s.Addr())
	c, cut := open(t, s.Addr(), locktest.Namespace(), 3*time.Second), open(t, p.Addr(), locktest.Namespace(), 3*time.Second)
	p.Blackhole()
	s.Kill(t)
	locktest.ExpectNoLock(t, c, "refused")
	locktest.ExpectNoLock(t, cut, "accepted the connection")
	p.Heal()
	s.Restart(t) // for the clients to end at once
}

// TestOutageIsTold: the log of a client says that its servers cannot be reached, and that they can.
func TestOutageIsTold(t *testing.T) {
	t.Parallel()
	s := servers.Start(t, servers.ZooKeeper)
	locktest.ExpectOutageTold(t, "zookeeper://"+s.Addr(), locktest.Namespace(), func() { s.Kill(t) }, func() { s.Restart(t) })
}
