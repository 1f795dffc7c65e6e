package cluster_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// footprint is what clients take, of their process and of the nodes.
type footprint struct {
	connections int // to all nodes
	locktest.Footprint
}

func (w *world) measure(t *testing.T) footprint {
	t.Helper()
	f := footprint{Footprint: locktest.Measure()}
	for i := range w.Nodes {
		clients, err := w.plain[&w.Nodes[i]].ClientList(t.Context()).Result()
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
// and seen a fail-over and slots that moved, take no more of anything than after the first ten thousand. Of locks
// that nobody has the nodes keep the last token, for a minute.
func TestNothingGrows(t *testing.T) {
	// It is not parallel, since it looks at the goroutines of the process.
	w := startWorld(t, servers.Args("--cluster-node-timeout", "5000")) // the processors are busy, and no node is dead
	c, rival := w.open(t, time.Minute), w.open(t, time.Minute)
	churn := &locktest.Churn{Client: c, Rival: rival, Workers: 64, Contended: 1}
	first := churn.Run(t, 5_000)
	w.Promote(t, w.ReplicasOf(t, &w.Nodes[1])[0]) // both clients have met a node by then that is no master any more
	first += churn.Run(t, 5_000)
	w.expectNothingLeft(t)
	before := w.measure(t)
	rest := churn.Run(t, 35_000)
	w.Promote(t, w.ReplicasOf(t, &w.Nodes[0])[0])
	if err := w.move(way{"KeyByKey", moveKeys}, 12000, 12009, &w.Nodes[2], w.Master(t, 6000)); err != nil {
		t.Fatal(err)
	}
	rest += churn.Run(t, 35_000)
	rest += lockOnce(t, c, 20_000)
	w.AwaitWhole(t)
	w.expectNothingLeft(t)
	// For each node a client has up to three senders, which begin, each with a connection, when there is much to send.
	const senders = 2 * 3 * 3
	var after footprint
	shrunk := locktest.Within(2*locktest.Soon, func() bool { // what has just been given up is gone
		after = w.measure(t)
		return after.Goroutines <= before.Goroutines+senders && after.connections <= before.connections+senders
	})
	t.Logf("10,000 took %v, the other 90,000 %v; %+v, and %+v", first.Round(time.Millisecond), rest.Round(time.Millisecond), before, after)
	if !shrunk {
		stacks := make([]byte, 1<<20)
		t.Errorf("there are more goroutines or connections than before:\n%s", stacks[:runtime.Stack(stacks, true)])
	}
	if after.Heap > before.Heap+4<<20 {
		t.Errorf("%d bytes of heap, and %d before", after.Heap, before.Heap)
	}
}

// lockOnce locks and unlocks n locks, each once.
func lockOnce(t *testing.T, c *fencelock.Client, n int) (took time.Duration) {
	t.Helper()
	const workers = 64
	began := time.Now()
	var working sync.WaitGroup
	for worker := range workers {
		working.Go(func() {
			for i := worker; i < n; i += workers {
				l, err := c.Lock(t.Context(), fmt.Sprint("once", i))
				if err == nil {
					err = l.Unlock(t.Context())
				}
				if err != nil {
					t.Errorf("lock %d: %v", i, err)
					return
				}
			}
		})
	}
	working.Wait()
	return time.Since(began)
}
