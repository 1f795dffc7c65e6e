package sentinel_test

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// footprint is what clients take, of their process and of the servers.
type footprint struct {
	connections int // to all six
	locktest.Footprint
}

func (e *env) measure(t *testing.T) footprint {
	t.Helper()
	f := footprint{Footprint: locktest.Measure()}
	for _, s := range e.Members() {
		clients, err := e.admin(s).ClientList(t.Context()).Result()
		if err != nil {
			t.Fatalf("CLIENT LIST: %v", err)
		}
		for _, c := range clients {
			if c == '\n' {
				f.connections++
			}
		}
	}
	return f
}

// TestNothingGrows: clients that have locked and unlocked a hundred thousand times, waited for many of them, given up some,
// and seen a fail-over, take no more of anything than after the first ten thousand.
func TestNothingGrows(t *testing.T) {
	// It is not parallel, since it looks at the goroutines of the process.
	e := startEnv(t, "", servers.DownAfter(5*time.Second)) // the processors are busy, and no server is dead
	c, rival := e.open(t, time.Minute), e.open(t, time.Minute)
	e.Hasten(t)
	churn := &locktest.Churn{Client: c, Rival: rival, Workers: 64, Contended: 1}
	first := churn.Run(t, 10_000)
	master := e.Master(t)
	e.expectNothingLeft(t, master)
	before := e.measure(t)
	rest := churn.Run(t, 45_000)
	old := master
	master = e.Failover(t)
	e.Demote(t, old)
	rest += churn.Run(t, 45_000)
	e.AwaitWhole(t)
	e.expectNothingLeft(t, master)
	var after footprint
	locktest.Eventually(t, 2*locktest.Soon, "what has just been given up is gone", func() bool {
		after = e.measure(t)
		return after.Goroutines <= before.Goroutines && after.connections <= before.connections
	})
	t.Logf("10,000 took %v, the other 90,000 %v; %+v, and %+v", first.Round(time.Millisecond), rest.Round(time.Millisecond), before, after)
	if after.Heap > before.Heap+4<<20 {
		t.Errorf("%d bytes of heap, and %d before", after.Heap, before.Heap)
	}
}
