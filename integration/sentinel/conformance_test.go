package sentinel_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// harness is how the suite reaches servers and Sentinels: each client by ways of its own.
func (e *env) harness(t *testing.T, client func(t drivertest.T, w *proxy.Ways) driver.Backend) drivertest.Harness {
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
		DestroyGrant: func(dt drivertest.T, key string) {
			if err := e.admin(e.Master(t)).Del(dt.Context(), e.lockKeys(key)...).Err(); err != nil {
				dt.Fatalf("DEL: %v", err)
			}
		},
		Partition: func(_ drivertest.T, b driver.Backend) func() {
			w, _ := ways.Load(b)
			w.(*proxy.Ways).Blackhole()
			return w.(*proxy.Ways).Heal
		},
		Failover: func(dt drivertest.T) { e.Failover(dt) },
		Lacks:    map[string]string{"KillSession": "Redis has no sessions"},
		Open:     redis.Open,
		URL:      e.url() + "?namespace=" + e.ns,
		BadURLs:  badURLs,
		Away: map[string]string{
			"redis+sentinel://127.0.0.1:1/m":              "connection refused",
			"redis+sentinel://127.0.0.1:1,127.0.0.1:2/m":  "connection refused",
			"rediss+sentinel://127.0.0.1:1,127.0.0.1:2/m": "connection refused",
		},
	}
}

var badURLs = map[string]string{
	"redis+sentinel://":                                                   "host",
	"redis+sentinel:///m":                                                 "host",
	"redis+sentinel://s1,s2":                                              "name of the master",
	"redis+sentinel://s1,s2/":                                             "name of the master",
	"redis+sentinel://s1,s2/my%20master":                                  "name of the master",
	"redis+sentinel://s1,,s3/m":                                           "empty",
	"redis+sentinel://s1,s2,s1/m":                                         "twice",
	"redis+sentinel://s1,s2:0/m":                                          "port",
	"redis+sentinel://s1,s2:70000/m":                                      "port",
	"redis+sentinel://s1/m/x":                                             "database",
	"redis+sentinel://s1/m/1/2":                                           "database",
	"redis+sentinel://s1/m?namespace=":                                    "namespace",
	"redis+sentinel://s1/m?namespace={a}":                                 "namespace",
	"redis+sentinel://s1/m?namespace=a&namespace=b":                       "twice",
	"redis+sentinel://s1/m?durable=perhaps":                               "durable",
	"redis+sentinel://s1/m?db=1":                                          "/mymaster/1",
	"redis+sentinel://s1/m?ca=/etc/ca.pem":                                "ca",
	"redis+sentinel://u:p@s1/m?password_file=/p":                          "password_file",
	"redis+sentinel://u@s1/m":                                             "colon",
	"redis+sentinel://s1/m?sentinel_user=u":                               "sentinel_password_file=",
	"redis+sentinel://s1/m?sentinel_password=":                            "sentinel_password",
	"redis+sentinel://s1/m?sentinel_password_file=/does/not/exist":        "sentinel_password_file=",
	"redis+sentinel://s1/m?sentinel_password_file=/p&sentinel_password=x": "give one of them",
	"rediss+sentinel://s1/m?ca=/does/not/exist.pem":                       "ca=",
	"rediss+sentinel://s1/m?cert=/does/not/exist.pem":                     "key=",
}

// through opens a backend whose client has a proxy before each server and each Sentinel.
func (e *env) through(t locktest.T, w *proxy.Ways) driver.Backend {
	t.Helper()
	b, err := redis.NewFailover(t.Context(), &goredis.FailoverOptions{
		MasterName: servers.MasterName, SentinelAddrs: e.SentinelAddrs(), Password: e.password, Dialer: w.Dial,
	}, &redis.Options{Namespace: e.ns})
	if err != nil {
		t.Fatalf("NewFailover: %v", err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// lockKeys are the names that the lock of key may have: its shard is the backend's own business.
func (e *env) lockKeys(key string) []string {
	names := make([]string, 128)
	for shard := range names {
		names[shard] = fmt.Sprintf("%s:{%d}:%s:l", e.ns, shard, key)
	}
	return names
}

// calm keeps a machine that is busy from causing fail-overs.
var calm = servers.DownAfter(10 * time.Second)

// TestConformance runs the published suite on a master with two replicas and three Sentinels.
func TestConformance(t *testing.T) {
	t.Parallel()
	e := startEnv(t, "", calm)
	drivertest.Run(t, e.harness(t, func(t drivertest.T, w *proxy.Ways) driver.Backend { return e.through(t, w) }))
}
