package redis_test

import (
	"slices"
	"strings"
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

// acquires matches requests to acquire, in one of the modes of the script.
func acquires(modes ...string) func(request []byte) bool {
	acquire := locktest.RedisRequest("acquire")
	return func(request []byte) bool {
		args := proxy.Args(request)
		return acquire(request) && len(args) > 9 && slices.Contains(modes, args[9])
	}
}

// renews matches requests to renew, releases those to release, evicts those to evict.
var (
	renews   = locktest.RedisRequest("renew")
	releases = locktest.RedisRequest("release")
	evicts   = locktest.RedisRequest("evict")
)

// scripts matches the requests that run a script: all that is done about locks.
func scripts(request []byte) bool {
	args := proxy.Args(request)
	return len(args) > 0 && strings.HasPrefix(strings.ToLower(args[0]), "eval")
}
