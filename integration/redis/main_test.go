// Package redis_test runs backend/redis against real servers.
package redis_test

import (
	"fmt"
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

// dial opens a backend on the server at addr.
func dial(t locktest.T, addr, ns string) driver.Backend {
	t.Helper()
	return locktest.Dial(t, redis.Open, &url.URL{Scheme: "redis", Host: addr, RawQuery: "namespace=" + ns})
}

// open makes a client for the server, or the proxy, at addr.
func open(t *testing.T, addr, ns string, ttl time.Duration) *fencelock.Client {
	t.Helper()
	return locktest.Open(t, "redis://"+addr, ns, ttl)
}

// through puts a proxy in front of the server at addr.
func through(t locktest.T, addr string) *proxy.Proxy {
	t.Helper()
	return locktest.Through(t, addr, proxy.RESP)
}

// raw is a plain client, for looking at the server and for breaking things.
func raw(t locktest.T, addr string) *goredis.Client {
	c := goredis.NewClient(&goredis.Options{Addr: addr})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// lockKeys are the names that the lock of key may have: its shard is the
// backend's own business.
func lockKeys(ns, key string) []string {
	names := make([]string, 128)
	for shard := range names {
		names[shard] = fmt.Sprintf("%s:{%d}:%s:l", ns, shard, key)
	}
	return names
}

// awaitWaiters waits until n clients stand in the server's queue for key.
func awaitWaiters(t *testing.T, c *fencelock.Client, key string, n int) {
	t.Helper()
	locktest.AwaitWaiters(t, locktest.Soon, c, key, n)
}

// left lists the keys of a namespace that should not be there when nothing is held: all but the counter of
// tokens, the words for builds before this layout, and locks that have nothing but tombstones of attempts
// that were released. These end by themselves.
func left(t *testing.T, c *goredis.Client, ns string) (names []string) {
	t.Helper()
	for _, name := range namesIn(t, c, ns) {
		if !strings.HasSuffix(name, ":t") && !isTombstone(t, c, name) {
			names = append(names, name)
		}
	}
	return names
}

// isTombstone reports whether a lock has nothing but tombstones.
func isTombstone(t *testing.T, c *goredis.Client, name string) bool {
	t.Helper()
	if c.Type(t.Context(), name).Val() != "hash" {
		return false
	}
	fields := c.HGetAll(t.Context(), name).Val()
	for _, inner := range []string{"h", "n", "x", "m"} {
		delete(fields, inner)
	}
	return len(fields) == 0
}

func namesIn(t *testing.T, c *goredis.Client, ns string) []string {
	t.Helper()
	names, err := c.Keys(t.Context(), ns+":*").Result()
	if err != nil {
		t.Fatalf("KEYS: %v", err)
	}
	return names
}

// tombstones counts the locks that have nothing but tombstones, or have some beside their holder.
func tombstones(t *testing.T, c *goredis.Client, ns string) (n int) {
	t.Helper()
	for _, name := range namesIn(t, c, ns) {
		if has, _ := c.HExists(t.Context(), name, "x").Result(); has {
			n++
		}
	}
	return n
}

// expectNothingLeft waits for what is cleaned up in the background, and looks at the
// tombstones.
func expectNothingLeft(t *testing.T, c *goredis.Client, ns string) {
	t.Helper()
	locktest.ExpectNothingLeft(t, func() []string { return left(t, c, ns) })
	for _, name := range namesIn(t, c, ns) {
		if life := c.PTTL(t.Context(), name).Val(); !strings.HasSuffix(name, ":t") && (life == -1 || life > time.Minute) {
			t.Errorf("the tombstone %q lives for %v", name, life)
		}
	}
}
