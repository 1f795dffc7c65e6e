// Package cluster_test runs backend/redis against real Clusters.
package cluster_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

func TestMain(m *testing.M) { servers.Main(m) }

// env is a Cluster and a namespace.
type env struct {
	*servers.RedisCluster
	ns    string
	admin *goredis.ClusterClient
}

// startEnv starts three masters with a replica each.
func startEnv(t *testing.T, opts ...servers.Option) *env {
	t.Helper()
	return newEnv(t, servers.StartRedisCluster(t, servers.RedisKind(t), 3, append(opts, servers.Replicas(1))...))
}

func newEnv(t *testing.T, c *servers.RedisCluster) *env {
	t.Helper()
	e := &env{RedisCluster: c, ns: locktest.Namespace()}
	e.admin = goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: e.addrs()})
	t.Cleanup(func() { _ = e.admin.Close() })
	return e
}

// addrs are those of all nodes.
func (e *env) addrs() (all []string) {
	for _, n := range e.Nodes {
		all = append(all, n.Told())
	}
	return all
}

func (e *env) url() string { return "redis+cluster://" + strings.Join(e.addrs(), ",") }

// dial opens a backend that goes straight to the nodes. It knows one of them at the beginning.
func (e *env) dial(t locktest.T) driver.Backend {
	t.Helper()
	return locktest.Dial(t, redis.Open, &url.URL{Scheme: "redis+cluster", Host: e.addrs()[0], RawQuery: "namespace=" + e.ns})
}

// open makes a client that goes straight to the nodes.
func (e *env) open(t *testing.T, ttl time.Duration) *fencelock.Client {
	t.Helper()
	return locktest.Open(t, e.url(), e.ns, ttl)
}

// through opens a backend whose client has a proxy before each node.
func (e *env) through(t locktest.T, w *proxy.Ways) driver.Backend {
	t.Helper()
	app := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: e.addrs(), Dialer: w.Dial})
	t.Cleanup(func() { _ = app.Close() })
	b, err := redis.New(t.Context(), app, &redis.Options{Namespace: e.ns})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// lockKey is the name of a key's lock.
func (e *env) lockKey(key string) string { return e.ns + ":{" + key + "}:l" }
