package cluster_test

import (
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
)

// harness is how the suite reaches a Cluster: each client by ways of its own.
func (e *env) harness(client func(t drivertest.T, w *proxy.Ways) driver.Backend) drivertest.Harness {
	var ways sync.Map // driver.Backend to *proxy.Ways
	return drivertest.Harness{
		Want: driver.Info{
			Name: "redis", Guarantee: driver.Advisory, Features: driver.Fair | driver.Push, Namespace: e.ns,
			MinTTL: 100 * time.Millisecond, MaxTTL: 24 * time.Hour,
		},
		TTL: time.Second,
		New: func(t drivertest.T) driver.Backend {
			w := locktest.Ways(t, proxy.RESP)
			b := client(t, w)
			ways.Store(b, w)
			return b
		},
		DestroyGrant: func(t drivertest.T, key string) {
			if err := e.admin.Del(t.Context(), e.lockKey(key)).Err(); err != nil {
				t.Fatalf("DEL: %v", err)
			}
		},
		Partition: func(t drivertest.T, b driver.Backend) func() {
			w, _ := ways.Load(b)
			w.(*proxy.Ways).Blackhole()
			return w.(*proxy.Ways).Heal
		},
		Failover: func(t drivertest.T) {
			for i := range 3 {
				e.Promote(t, e.ReplicasOf(t, &e.Nodes[i])[0])
			}
		},
		Lacks:   map[string]string{"KillSession": "Redis has no sessions"},
		Open:    redis.Open,
		URL:     e.url() + "?namespace=" + e.ns,
		BadURLs: badURLs,
		Away: map[string]string{
			"redis+cluster://127.0.0.1:1":              "connection refused",
			"redis+cluster://127.0.0.1:1,127.0.0.1:2":  "connection refused",
			"rediss+cluster://127.0.0.1:1,127.0.0.1:2": "connection refused",
		},
	}
}

var badURLs = map[string]string{
	"redis+cluster://":                                "host",
	"redis+cluster:///0":                              "host",
	"redis+cluster://h1,,h3":                          "empty",
	"redis+cluster://h1,h2:0":                         "port",
	"redis+cluster://h1,h2:70000":                     "port",
	"redis+cluster://h1,h2/1":                         "database",
	"redis+cluster://h?namespace=":                    "namespace",
	"redis+cluster://h?namespace={a}":                 "namespace",
	"redis+cluster://h?namespace=a&namespace=b":       "twice",
	"redis+cluster://h?durable=perhaps":               "durable",
	"redis+cluster://h?ca=/etc/ca.pem":                "ca",
	"redis+cluster://u:p@h?password_file=/p":          "password_file",
	"rediss+cluster://h?ca=/does/not/exist.pem":       "ca=",
	"rediss+cluster://h1,h2?cert=/does/not/exist.pem": "key=",
}

// TestConformance runs the published suite on three masters with a replica each.
func TestConformance(t *testing.T) {
	t.Parallel()
	e := startEnv(t)
	drivertest.Run(t, e.harness(func(t drivertest.T, w *proxy.Ways) driver.Backend { return e.through(t, w) }))
}
