package sentinel_test

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/persistent"
	"github.com/fencelock/fencelock/integration/internal/proxy"
)

// TestConformanceWithLostReplies runs the suite while each client loses the reply to its n-th request to acquire, its
// n-th to confirm a position, its n-th to renew, and to its n-th question to the Sentinels: it was carried out, and nobody is
// told. The core asks again, as package persistent does here.
func TestConformanceWithLostReplies(t *testing.T) {
	t.Parallel()
	for n, name := range []string{"first", "second", "third"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := startEnv(t, "", calm)
			drivertest.Run(t, e.harness(t, func(t drivertest.T, w *proxy.Ways) driver.Backend {
				b := e.through(t, w)
				w.LoseReplyTo(acquires("try", "wait"), n+1)
				w.LoseReplyTo(acquires("again"), n+1)
				w.LoseReplyTo(locktest.RedisRequest("renew"), n+1)
				w.LoseReplyTo(asksSentinel, n+1)
				return persistent.New(b)
			}))
		})
	}
}

// asksSentinel matches what a Sentinel is asked.
func asksSentinel(request []byte) bool {
	args := proxy.Args(request)
	return len(args) > 0 && strings.EqualFold(args[0], "sentinel")
}

// acquires matches requests to acquire: "try" and "wait" are those of an attempt that comes for the first time,
// "again" is one of an attempt that has asked before.
func acquires(modes ...string) func(request []byte) bool {
	acquire := locktest.RedisRequest("acquire")
	var mu sync.Mutex
	met := make(map[string]bool)
	return func(request []byte) bool {
		if !acquire(request) {
			return false
		}
		args := proxy.Args(request) // EVALSHA script keys lock … counter client ttl mode identity attempt …
		keys, err := strconv.Atoi(args[2])
		if err != nil || len(args) < 3+keys+5 {
			return false
		}
		mu.Lock()
		defer mu.Unlock()
		mode, matches := args[3+keys+2], false
		for _, attempt := range args[3+keys+4:] {
			if met[attempt] {
				mode = "again"
			}
			met[attempt] = true
			matches = matches || slices.Contains(modes, mode)
		}
		return matches
	}
}
