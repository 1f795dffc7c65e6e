package comingfrom_test

import (
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/etcd"
	"github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/fencing"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
	"github.com/fencelock/fencelock/internal/both"
)

// The pair behind OpenBoth, of two real servers. What it does when a server is cut off, and in
// virtual time, is tested in internal/both.
func TestConformanceOfBoth(t *testing.T) {
	ns := locktest.Namespace()
	rURL := parse(t, fmt.Sprintf("redis://%s?namespace=%s", servers.Shared(t, servers.Redis).Addr(), ns))
	eURL := parse(t, fmt.Sprintf("etcd://%s?namespace=%s", servers.Shared(t, servers.Etcd).Addr(), ns))
	quiet := driver.OpenOptions{Logger: locktest.Silent}
	sides := func(t drivertest.T) (older, newer driver.Backend) {
		older, err := redis.Open(t.Context(), rURL, quiet)
		if err != nil {
			t.Fatalf("redis: %v", err)
		}
		if newer, err = etcd.Open(t.Context(), eURL, quiet); err != nil {
			t.Fatalf("etcd: %v", err)
		}
		return older, newer
	}
	drivertest.Run(t, drivertest.Harness{
		New: func(t drivertest.T) driver.Backend {
			older, newer := sides(t)
			return both.New(older, newer, 0, func(_, _ fencing.Token) error { return nil })
		},
		Want: driver.Info{
			Name: "redis+etcd", Guarantee: driver.Advisory, Features: driver.Fair | driver.Push,
			MinTTL: time.Second, MaxTTL: 24 * time.Hour,
		},
		TTL: time.Second,
		DestroyGrant: func(t drivertest.T, key string) {
			older, newer := sides(t)
			defer older.Close()
			defer newer.Close()
			for _, b := range []driver.Backend{older, newer} {
				if err := b.Evict(t.Context(), key, ""); err != nil {
					t.Errorf("Evict: %v", err)
				}
			}
		},
		Lacks: map[string]string{
			"Failover":    "the servers are shared with other tests",
			"Partition":   "there is no proxy here",
			"KillSession": "a pair has no session of its own",
			"Open":        "a pair has no URL",
			"Away":        "a pair has no URL",
		},
	})
}

func parse(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
