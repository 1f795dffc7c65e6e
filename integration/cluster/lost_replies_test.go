package cluster_test

import (
	"slices"
	"sync"
	"testing"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/persistent"
	"github.com/fencelock/fencelock/integration/internal/proxy"
)

// TestConformanceWithLostReplies runs the suite while each client loses the reply to its n-th request to acquire, its
// n-th to confirm a position, its n-th to renew, whichever node it is for: it was carried out, and nobody is told. The core
// asks again, as package persistent does here.
func TestConformanceWithLostReplies(t *testing.T) {
	t.Parallel()
	for n, name := range []string{"first", "second", "third"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := startEnv(t)
			drivertest.Run(t, e.harness(func(t drivertest.T, w *proxy.Ways) driver.Backend {
				b := e.through(t, w)
				w.LoseReplyTo(acquires("try", "wait"), n+1)
				w.LoseReplyTo(acquires("again"), n+1)
				w.LoseReplyTo(locktest.RedisRequest("renew"), n+1)
				return persistent.New(b)
			}))
		})
	}
}

// acquires matches requests to acquire: "try" and "wait" are those of an attempt that comes for the first time, "again"
// is one of an attempt that has asked before. On a Cluster a request is about one lock.
func acquires(modes ...string) func(request []byte) bool {
	acquire := locktest.RedisRequest("acquire")
	var mu sync.Mutex
	met := make(map[string]bool)
	return func(request []byte) bool {
		if !acquire(request) {
			return false
		}
		args := proxy.Args(request) // EVALSHA script 1 lock client ttl mode identity attempt
		if len(args) != 9 {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		mode := args[6]
		if met[args[8]] {
			mode = "again"
		}
		met[args[8]] = true
		return slices.Contains(modes, mode)
	}
}
