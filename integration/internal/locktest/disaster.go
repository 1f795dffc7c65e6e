package locktest

import (
	"sync"

	"github.com/fencelock/fencelock/integration/internal/servers"
)

// Disaster is something that happens to one member of a cluster, and its end.
type Disaster struct {
	Name  string
	begin func(t T, c *servers.Cluster, m *servers.Server)
	end   func(t T, c *servers.Cluster, m *servers.Server)
}

// The disasters there are. One that is deaf gets nothing from the others, one that is
// mute sends them nothing.
var (
	Killed = Disaster{"killed", func(t T, _ *servers.Cluster, m *servers.Server) { m.Kill(t) }, restart}
	Paused = Disaster{"paused", func(t T, _ *servers.Cluster, m *servers.Server) { m.Pause(t) }, unpause}
	CutOff = Disaster{"cut off", func(t T, c *servers.Cluster, m *servers.Server) { c.Cut(t, m) }, heal}
	Deaf   = Disaster{"deaf", func(t T, c *servers.Cluster, m *servers.Server) { c.CutInbound(t, m) }, heal}
	Mute   = Disaster{"mute", func(t T, c *servers.Cluster, m *servers.Server) { c.CutOutbound(t, m) }, heal}
)

// Disasters are all of them.
func Disasters() []Disaster { return []Disaster{Killed, Paused, CutOff, Deaf, Mute} }

// Strike lets it happen. What it returns ends it, as does the test's end.
func (d Disaster) Strike(t T, c *servers.Cluster, m *servers.Server) (over func()) {
	t.Helper()
	over = sync.OnceFunc(func() { d.end(t, c, m) })
	t.Cleanup(over)
	d.begin(t, c, m)
	return over
}

func restart(t T, _ *servers.Cluster, m *servers.Server) { m.Restart(t) }
func unpause(t T, _ *servers.Cluster, m *servers.Server) { m.Unpause(t) }
func heal(t T, c *servers.Cluster, m *servers.Server)    { c.Heal(t, m) }
