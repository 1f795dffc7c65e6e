package cluster_test

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// TestSubscription: the node that clients get their notifications from is not there any more, or sleeps. They are elsewhere
// before the Cluster can have given it up. The locks are at another, to which nothing happens.
func TestSubscription(t *testing.T) {
	t.Parallel()
	for _, f := range failovers {
		if f.name != "Killed" && f.name != "Paused" {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			testSubscription(t, f)
		})
	}
}

func testSubscription(t *testing.T, f failover) {
	const nodeTimeout = 2 * time.Second // see servers.Replicas
	w := startWorld(t)
	locks, old := &w.Nodes[1], &w.Nodes[0]
	probes := w.startProbes(t, 12)
	here := len(w.plain[old].PubSubChannels(t.Context(), w.ns+":c:*").Val())
	if here == 0 { // they choose by chance: it is one run of 130
		t.Fatal("nobody listens there")
	}
	over := f.begin(t, w, old, nil)
	began := time.Now()
	probes.push(t, locks)
	took := time.Since(began)
	t.Logf("%d of 12 listened there; all hear of what another node says after %v", here, took.Round(time.Millisecond))
	if took > nodeTimeout+locktest.Slack {
		t.Errorf("it took %v, want it within %v", took, nodeTimeout)
	}
	over()
	probes.clear(t)
}
