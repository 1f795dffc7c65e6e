package zookeeper_test

import (
	"testing"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// The tests of three servers, which take long to start, do one thing to them after the
// other. Each part leaves them whole.
type part struct {
	name string
	test func(*testing.T, *servers.Cluster)
}

// TestServersLost: one server or all are lost, and no lease.
func TestServersLost(t *testing.T) {
	t.Parallel()
	inTurn(t, part{"LeaderLost", leaderLost}, part{"FollowerLost", followerLost}, part{"AllRestarted", allRestarted})
}

// TestHoldersCutOff: a holder is cut off, and loses its lease in time.
func TestHoldersCutOff(t *testing.T) {
	t.Parallel()
	inTurn(t, part{"ClientCutOff", clientCutOff}, part{"ServerCutOff", serverCutOff}, part{"DeposedLeader", deposedLeader})
}

func inTurn(t *testing.T, parts ...part) {
	c := servers.StartCluster(t, servers.ZooKeeper, 3)
	for _, p := range parts {
		t.Run(p.name, func(t *testing.T) {
			awaitWhole(t, c)
			p.test(t, c)
		})
	}
}

// awaitWhole waits until all servers serve, and one of them leads. One that led, and
// slept, believes for a moment that it still does, and then serves nobody for another.
func awaitWhole(t *testing.T, c *servers.Cluster) {
	t.Helper()
	locktest.Eventually(t, soon, "one server leads", func() bool {
		leaders := 0
		for _, s := range c.Members() {
			if c.Leads(s) {
				leaders++
			}
		}
		return leaders == 1
	})
	c.Restart(t) // of none, for they run: it waits until they serve
}
