package etcd_test

import (
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestOpenWithoutMajority: one member of three lives, and cannot do anything. Open says that it is
// that.
func TestOpenWithoutMajority(t *testing.T) {
	t.Parallel()
	c := servers.StartCluster(t, servers.Etcd, 3)
	c.Members()[1].Kill(t)
	c.Members()[2].Kill(t)
	locktest.ExpectNoOpening(t, "etcd://"+strings.Join(c.Addrs(), ","), "no leader")
	locktest.ExpectNoOpening(t, "etcd://"+c.Addrs()[0], "no leader")
}

// TestOpenOnFullServer: a server without space takes no new locks, and says so.
func TestOpenOnFullServer(t *testing.T) {
	t.Parallel()
	s := servers.Start(t, servers.Etcd, servers.Args("--quota-backend-bytes", "16384"))
	app := raw(t, s.Addr())
	for range 100 {
		if _, err := app.Put(t.Context(), "big", strings.Repeat("x", 1000)); err != nil {
			break
		}
	}
	locktest.ExpectNoOpening(t, "etcd://"+s.Addr(), "database space exceeded")
}

// TestLockSaysWhy: so do calls when the server goes away later.
func TestLockSaysWhy(t *testing.T) {
	t.Parallel()
	s := servers.Start(t, servers.Etcd)
	p := through(t, s.Addr())
	c, cut := open(t, s.Addr(), locktest.Namespace(), 3*time.Second), open(t, p.Addr(), locktest.Namespace(), 3*time.Second)
	p.Blackhole()
	s.Kill(t)
	locktest.ExpectNoLock(t, c, "refused")
	locktest.ExpectNoLock(t, cut, "answer")
}

// TestOutageIsTold: the log of a client says that its servers cannot be reached, and that they can.
func TestOutageIsTold(t *testing.T) {
	t.Parallel()
	s := servers.Start(t, servers.Etcd)
	locktest.ExpectOutageTold(t, "etcd://"+s.Addr(), locktest.Namespace(), func() { s.Kill(t) }, func() { s.Restart(t) })
}
