package zookeeper_test

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// footprint is what the clients take, of their process and of the server.
type footprint struct {
	connections, sessions, ephemerals, watches int
	locktest.Footprint
}

func measure(t *testing.T, s *servers.Server) footprint {
	t.Helper()
	m := servers.Metrics(t, s)
	count := func(name string) int { return locktest.Metric(t, m, "zk_"+name) }
	return footprint{
		connections: count("num_alive_connections"), sessions: count("global_sessions"),
		ephemerals: count("ephemerals_count"), watches: count("watch_count"),
		Footprint: locktest.Measure(),
	}
}

// TestNothingGrows: a client that has locked and unlocked a hundred thousand times,
// waited for many of them, and given up some, takes no more of anything than after the
// first ten thousand.
func TestNothingGrows(t *testing.T) {
	// It is not parallel, since it looks at the goroutines of the process.

	// What is written to disk when does not matter here.
	s, ns := servers.Start(t, servers.ZooKeeper, servers.Args("forceSync=no")), locktest.Namespace()
	c, rival := open(t, s.Addr(), ns, 50*time.Second), open(t, s.Addr(), ns, 50*time.Second)
	locktest.Unlock(t, lock(t, c, "first"))
	locktest.Unlock(t, lock(t, rival, "first"))
	churn := &locktest.Churn{Client: c, Rival: rival, Workers: 250, Contended: 10}
	// rest is when what was given up last is gone.
	rest := func() (f footprint) {
		locktest.Eventually(t, soon, "no lock is held", func() bool {
			f = measure(t, s)
			return f.ephemerals == 0 && f.watches == 0
		})
		return f
	}
	first := churn.Run(t, 10_000)
	before := rest()
	second := churn.Run(t, 90_000)
	after := rest()
	locktest.Eventually(t, soon, "all goroutines have ended", func() bool {
		after = measure(t, s)
		return after.Goroutines <= before.Goroutines
	})
	t.Logf("10,000 took %v, the other 90,000 %v; %+v, and %+v", first.Round(time.Millisecond), second.Round(time.Millisecond), before, after)
	if after.connections > before.connections || after.sessions > before.sessions {
		t.Errorf("the server has %+v, and had %+v", after, before)
	}
	if after.Heap > before.Heap+4<<20 {
		t.Errorf("%d bytes of heap, and %d before", after.Heap, before.Heap)
	}
}
