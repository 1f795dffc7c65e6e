package raftlocal

import (
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
)

// TestConformanceShared runs the published suite on locks in memory, which but for the files and
// the socket are those of a directory. Whoever serves is killed and another takes over.
func TestConformanceShared(t *testing.T) {
	t.Parallel()
	c, err := Options{Memory: t.Name()}.check()
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	users := map[driver.Backend]user{}
	open := func(t drivertest.T) user {
		b, share, err := openShared(t.Context(), c)
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		users[b] = user{b, share}
		return users[b]
	}
	first, share, err := openShared(t.Context(), c) // so that the place is there between two rules
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = first.Close() })
	users[first] = user{first, share}
	drivertest.Run(t, drivertest.Harness{
		New: func(t drivertest.T) driver.Backend { return open(t).backend },
		Want: driver.Info{
			Name: "raft", Guarantee: driver.Linearizable, Features: driver.Fair | driver.Push,
			MinTTL: 100 * time.Millisecond, MaxTTL: 24 * time.Hour,
		},
		DestroyGrant: func(t drivertest.T, key string) {
			b := open(t)
			defer b.Close()
			if err := b.Evict(t.Context(), key, ""); err != nil {
				t.Errorf("hook DestroyGrant: %v", err)
			}
		},
		Failover: func(t drivertest.T) {
			mu.Lock()
			defer mu.Unlock()
			for _, u := range users {
				if s := u.share.Server(); s != nil {
					s.Kill()
					return
				}
			}
			t.Errorf("hook Failover: nobody serves")
		},
		Open: Open,
		URL:  "raftmem://" + t.Name(),
		BadURLs: map[string]string{
			"raft:///dir?nonsense=1":           "nonsense",
			"raft:///dir?id=a":                 "cluster",
			"raft://h1,h2?cluster=c":           "insecure=true",
			"raftmem://x?namespace=not+a+name": "namespace",
		},
		Away: map[string]string{"raft://127.0.0.1:1?insecure=true": "connection refused"},
		Lacks: map[string]string{
			"Partition":   "nobody is cut off within a process; TestConformance does that with a stand-in",
			"KillSession": "claims do not depend on sessions",
		},
	})
}
