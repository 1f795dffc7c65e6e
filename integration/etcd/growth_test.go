package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// footprint is what a client takes, of its process and of the server.
type footprint struct {
	leases, watchers, keys int
	goroutines             int
	heap                   uint64
}

func measure(t *testing.T, s *servers.Server, admin *clientv3.Client, ns string) footprint {
	t.Helper()
	m := servers.Metrics(t, s)
	count := func(name string) int {
		n, ok := m["etcd_debugging_"+name]
		if !ok {
			t.Fatalf("the server does not count %s", name)
		}
		return int(n)
	}
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return footprint{
		leases:   count("lease_granted_total") - count("lease_revoked_total") - count("server_lease_expired_total"),
		watchers: count("mvcc_watcher_total"),
		keys:     len(keysBelow(t, admin, ns+"/")),
		heap:     memory.HeapAlloc, goroutines: runtime.NumGoroutine(),
	}
}

// TestNothingGrows: a client that has locked and unlocked a hundred thousand times,
// waited for many of them, and given up some, takes no more of anything than after
// the first ten thousand.
func TestNothingGrows(t *testing.T) {
	// It is not parallel, since it looks at the goroutines of the process.
	const workers, keys = 64, 300
	// What is written to disk when does not matter here.
	s, ns := servers.Start(t, servers.Etcd, servers.Args("--unsafe-no-fsync")), namespace()
	admin := raw(t, s.Addr())
	c, rival := open(t, s.Addr(), ns, time.Minute), open(t, s.Addr(), ns, time.Minute)
	warm(t, c)
	warm(t, rival)
	var book ledger
	work := func(times int) (took time.Duration) {
		began := time.Now()
		var working sync.WaitGroup
		for w := range workers {
			working.Go(func() {
				for i := range times / workers {
					key, l := fmt.Sprint((i*7+w*13)%keys), c
					switch {
					case i%50 == 0: // contend with another client
						key, l = "contended", []*fencelock.Client{c, rival}[w%2]
					case i%97 == 0:
						giveUp(t, c, fmt.Sprint("given up ", w))
						continue
					}
					lease, err := l.Lock(t.Context(), key)
					if err == nil {
						book.enter(t, lease)
						err = lease.Unlock(t.Context())
					}
					if err != nil {
						t.Errorf("worker %d: %v", w, err)
						return
					}
				}
			})
		}
		working.Wait()
		return time.Since(began)
	}
	first := work(10_000)
	expectNothingLeft(t, admin, ns)
	before := measure(t, s, admin, ns)
	rest := work(90_000)
	expectNothingLeft(t, admin, ns)
	var after footprint
	eventually(t, 2*soon, "what has just been given up is gone", func() bool {
		after = measure(t, s, admin, ns)
		return after.watchers <= before.watchers && after.goroutines <= before.goroutines
	})
	t.Logf("10,000 took %v, the other 90,000 %v; %+v, and %+v", first.Round(time.Millisecond), rest.Round(time.Millisecond), before, after)
	if after.leases > before.leases || after.keys > before.keys {
		t.Errorf("the server has %+v, and had %+v", after, before)
	}
	if after.heap > before.heap+4<<20 {
		t.Errorf("%d bytes of heap, and %d before", after.heap, before.heap)
	}
}

// giveUp begins to lock, and cancels.
func giveUp(t *testing.T, c *fencelock.Client, key string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Microsecond)
	defer cancel()
	lease, err := c.Lock(ctx, key)
	if err == nil { // it was quicker
		err = lease.Unlock(t.Context())
	}
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Lock: %v", err)
	}
}
