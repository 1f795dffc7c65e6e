package redis_test

import (
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

func want(ns string) driver.Info {
	return driver.Info{
		Name: "redis", Guarantee: driver.Advisory, Features: driver.Fair | driver.Push, Namespace: ns,
		MinTTL: 100 * time.Millisecond, MaxTTL: 24 * time.Hour,
	}
}

// harness is how the suite reaches a server: each client through a proxy of its
// own.
func harness(s *servers.Server, client func(t drivertest.T, p *proxy.Proxy, ns string) driver.Backend) drivertest.Harness {
	var links sync.Map // driver.Backend to *proxy.Proxy
	ns := locktest.Namespace()
	return drivertest.Harness{
		Want: want(ns),
		TTL:  time.Second,
		New: func(t drivertest.T) driver.Backend {
			p := through(t, s.Addr())
			b := client(t, p, ns)
			links.Store(b, p)
			return b
		},
		DestroyGrant: func(t drivertest.T, key string) {
			if err := raw(t, s.Addr()).Del(t.Context(), lockKeys(ns, key)...).Err(); err != nil {
				t.Fatalf("DEL: %v", err)
			}
		},
		Partition: func(t drivertest.T, b driver.Backend) func() {
			p, _ := links.Load(b)
			p.(*proxy.Proxy).Blackhole()
			return p.(*proxy.Proxy).Heal
		},
		Failover: func(t drivertest.T) {
			s.Kill(t)
			s.Restart(t)
		},
		Lacks:   map[string]string{"KillSession": "Redis has no sessions"},
		Open:    redis.Open,
		URL:     "redis://" + s.Addr() + "?namespace=" + ns,
		BadURLs: badURLs,
		Away:    map[string]string{"redis://127.0.0.1:1": "connection refused", "rediss://127.0.0.1:1": "connection refused"},
	}
}

var badURLs = map[string]string{
	"redis://":                            "host",
	"redis:///0":                          "host",
	"redis://h1,h2":                       "several hosts",
	"redis://h:0":                         "port",
	"redis://h:70000":                     "port",
	"redis://h/x":                         "database",
	"redis://h?namespace=":                "namespace",
	"redis://h?namespace={a}":             "namespace",
	"redis://h?namespace=a&namespace=b":   "twice",
	"redis://h?durable=perhaps":           "durable",
	"redis://h?ca=/etc/ca.pem":            "ca",
	"rediss://h?ca=/does/not/exist.pem":   "ca=",
	"rediss://h?cert=/does/not/exist.pem": "key=",
	"unix://":                             "socket",
	"unix://run/redis.sock":               "three slashes",
	"unix:///run/redis.sock?db=x":         "db=",
}

// TestConformance runs the published suite on each server that is supported. The
// server keeps its data, so that grants and tokens survive its restart.
func TestConformance(t *testing.T) {
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			s := servers.Start(t, kind, servers.Args("--appendonly", "yes", "--appendfsync", "always"))
			drivertest.Run(t, harness(s, func(t drivertest.T, p *proxy.Proxy, ns string) driver.Backend {
				return dial(t, p.Addr(), ns)
			}))
		})
	}
}
