package redis_test

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
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestConformanceWithLostReplies runs the suite while each client loses the reply
// to its n-th request to acquire, its n-th to confirm a position, its n-th to renew:
// it was carried out, and nobody is told. The core asks again, as package
// persistent does here. What the core makes of a lost reply to Unlock and Evict, whose outcome
// cannot be had by asking again, is in loss_test.go.
func TestConformanceWithLostReplies(t *testing.T) {
	for n, name := range []string{"first", "second", "third"} {
		t.Run(name, func(t *testing.T) {
			s := servers.Start(t, servers.Redis, servers.Args("--appendonly", "yes", "--appendfsync", "always"))
			drivertest.Run(t, harness(s, func(t drivertest.T, p *proxy.Proxy, ns string) driver.Backend {
				b := dial(t, p.Addr(), ns)
				p.LoseReplyTo(acquires("try", "wait"), n+1)
				p.LoseReplyTo(acquires("again"), n+1)
				p.LoseReplyTo(renews, n+1)
				return persistent.New(b)
			}))
		})
	}
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
		args := proxy.Args(request)
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

// renews matches requests to renew, releases those to release, evicts those to evict.
var (
	renews   = locktest.RedisRequest("renew")
	releases = locktest.RedisRequest("release")
	evicts   = locktest.RedisRequest("evict")
)

// scripts matches the requests that run a script, or release by a command of the server: all that is done
// about locks.
func scripts(request []byte) bool {
	args := proxy.Args(request)
	return len(args) > 0 && strings.HasPrefix(strings.ToLower(args[0]), "eval") || locktest.NativeDelete(request)
}
