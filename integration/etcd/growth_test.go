package etcd_test

import (
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// footprint is what a client takes, of its process and of the server.
type footprint struct {
	leases, watchers, keys int
	locktest.Footprint
}

func measure(t *testing.T, s *servers.Server, admin *clientv3.Client, ns string) footprint {
	t.Helper()
	m := servers.Metrics(t, s)
	count := func(name string) int { return locktest.Metric(t, m, "etcd_debugging_"+name) }
	return footprint{
		leases:    count("lease_granted_total") - count("lease_revoked_total") - count("server_lease_expired_total"),
		watchers:  count("mvcc_watcher_total"),
		keys:      len(keysBelow(t, admin, ns+"/")),
		Footprint: locktest.Measure(),
	}
}

// TestNothingGrows: a client that has locked and unlocked a hundred thousand times,
// waited for many of them, and given up some, takes no more of anything than after
// the first ten thousand.
func TestNothingGrows(t *testing.T) {
	// It is not parallel, since it looks at the goroutines of the process.

	// What is written to disk when does not matter here.
	s, ns := servers.Start(t, servers.Etcd, servers.Args("--unsafe-no-fsync")), locktest.Namespace()
	admin := raw(t, s.Addr())
	c, rival := open(t, s.Addr(), ns, time.Minute), open(t, s.Addr(), ns, time.Minute)
	warm(t, c)
	warm(t, rival)
	churn := &locktest.Churn{Client: c, Rival: rival, Workers: 64, Contended: 1}
	first := churn.Run(t, 10_000)
	expectNothingLeft(t, admin, ns)
	before := measure(t, s, admin, ns)
	rest := churn.Run(t, 90_000)
	expectNothingLeft(t, admin, ns)
	var after footprint
	locktest.Eventually(t, 2*locktest.Soon, "what has just been given up is gone", func() bool {
		after = measure(t, s, admin, ns)
		return after.watchers <= before.watchers && after.Goroutines <= before.Goroutines
	})
	t.Logf("10,000 took %v, the other 90,000 %v; %+v, and %+v", first.Round(time.Millisecond), rest.Round(time.Millisecond), before, after)
	if after.leases > before.leases || after.keys > before.keys {
		t.Errorf("the server has %+v, and had %+v", after, before)
	}
	if after.Heap > before.Heap+4<<20 {
		t.Errorf("%d bytes of heap, and %d before", after.Heap, before.Heap)
	}
}
