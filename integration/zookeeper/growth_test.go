package zookeeper_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// footprint is what the clients take, of their process and of the server.
type footprint struct {
	connections, sessions, ephemerals, watches int
	goroutines                                 int
	heap                                       uint64
}

func measure(t *testing.T, s *servers.Server) footprint {
	t.Helper()
	m := servers.Metrics(t, s)
	count := func(name string) int {
		n, ok := m["zk_"+name]
		if !ok {
			t.Fatalf("the server does not count %s", name)
		}
		return int(n)
	}
	runtime.GC()
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	return footprint{
		connections: count("num_alive_connections"), sessions: count("global_sessions"),
		ephemerals: count("ephemerals_count"), watches: count("watch_count"),
		heap: memory.HeapAlloc, goroutines: runtime.NumGoroutine(),
	}
}

// TestNothingGrows: a client that has locked and unlocked a hundred thousand times,
// waited for many of them, and given up some, takes no more of anything than after the
// first ten thousand.
func TestNothingGrows(t *testing.T) {
	// It is not parallel, since it looks at the goroutines of the process.
	const workers, keys = 250, 300
	// What is written to disk when does not matter here.
	s, ns := servers.Start(t, servers.ZooKeeper, servers.Args("forceSync=no")), namespace()
	c, rival := open(t, s.Addr(), ns, 50*time.Second), open(t, s.Addr(), ns, 50*time.Second)
	unlock(t, lock(t, c, "first"))
	unlock(t, lock(t, rival, "first"))
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
						key, l = fmt.Sprint("contended ", w%10), []*fencelock.Client{c, rival}[w/10%2]
					case i%97 == 0:
						cancelLock(t, c, fmt.Sprint("given up ", w))
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
	// rest is when what was given up last is gone.
	rest := func() (f footprint) {
		eventually(t, soon, "no lock is held", func() bool {
			f = measure(t, s)
			return f.ephemerals == 0 && f.watches == 0
		})
		return f
	}
	first := work(10_000)
	before := rest()
	second := work(90_000)
	after := rest()
	eventually(t, soon, "all goroutines have ended", func() bool {
		after = measure(t, s)
		return after.goroutines <= before.goroutines
	})
	t.Logf("10,000 took %v, the other 90,000 %v; %+v, and %+v", first.Round(time.Millisecond), second.Round(time.Millisecond), before, after)
	if after.connections > before.connections || after.sessions > before.sessions {
		t.Errorf("the server has %+v, and had %+v", after, before)
	}
	if after.heap > before.heap+4<<20 {
		t.Errorf("%d bytes of heap, and %d before", after.heap, before.heap)
	}
}

// cancelLock begins to lock, and cancels.
func cancelLock(t *testing.T, c *fencelock.Client, key string) {
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
