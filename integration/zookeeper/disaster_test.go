package zookeeper_test

import (
	"sync"
	"testing"

	"github.com/fencelock/fencelock/integration/internal/servers"
)

// disaster is something that happens to one server of an ensemble, and its end.
type disaster struct {
	name  string
	begin func(t *testing.T, c *servers.Cluster, s *servers.Server)
	end   func(t *testing.T, c *servers.Cluster, s *servers.Server)
}

var (
	killed = disaster{
		"killed",
		func(t *testing.T, _ *servers.Cluster, s *servers.Server) { s.Kill(t) },
		func(t *testing.T, _ *servers.Cluster, s *servers.Server) { s.Restart(t) },
	}
	paused = disaster{
		"paused",
		func(t *testing.T, _ *servers.Cluster, s *servers.Server) { s.Pause(t) },
		func(t *testing.T, _ *servers.Cluster, s *servers.Server) { s.Unpause(t) },
	}
	cutOff = disaster{"cut off", func(t *testing.T, c *servers.Cluster, s *servers.Server) { c.Cut(t, s) }, heal}
	deaf   = disaster{"deaf", func(t *testing.T, c *servers.Cluster, s *servers.Server) { c.CutInbound(t, s) }, heal}
	mute   = disaster{"mute", func(t *testing.T, c *servers.Cluster, s *servers.Server) { c.CutOutbound(t, s) }, heal}
)

func heal(t *testing.T, c *servers.Cluster, s *servers.Server) { c.Heal(t, s) }

// strike lets it happen. What it returns ends it, as does the test's end.
func (d disaster) strike(t *testing.T, c *servers.Cluster, s *servers.Server) (over func()) {
	t.Helper()
	over = sync.OnceFunc(func() { d.end(t, c, s) })
	t.Cleanup(over)
	d.begin(t, c, s)
	return over
}

// awaitWhole waits until all servers serve, and one of them leads. One that led, and
// slept, believes for a moment that it still does, and then serves nobody for another.
func awaitWhole(t *testing.T, c *servers.Cluster) {
	t.Helper()
	eventually(t, soon, "one server leads", func() bool {
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
