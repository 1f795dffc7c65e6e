// Package redis_test runs backend/redis against real servers.
package redis_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

func TestMain(m *testing.M) { servers.Main(m) }

// cleaner is what helpers here need of a test, or of a rule of drivertest.
type cleaner interface {
	Helper()
	Cleanup(func())
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Context() context.Context
}

// namespace is one that no other test uses.
func namespace() string { return "test-" + strings.ToLower(rand.Text()[:12]) }

// dial opens a backend on the server at addr.
func dial(t cleaner, addr, ns string) driver.Backend {
	t.Helper()
	b, err := redis.Open(t.Context(), &url.URL{Scheme: "redis", Host: addr, RawQuery: "namespace=" + ns})
	if err != nil {
		t.Fatalf("opening Redis at %s: %v", addr, err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}

// through puts a proxy in front of the server at addr.
func through(t cleaner, addr string) *proxy.Proxy {
	t.Helper()
	var p *proxy.Proxy
	var err error
	made := make(chan struct{})
	go func() {
		defer close(made)
		// A goroutine inherits its maker's labels, by which the suite finds those
		// that a backend leaks.
		pprof.SetGoroutineLabels(context.Background())
		p, err = proxy.New(addr, proxy.RESP)
	}()
	<-made
	if err != nil {
		t.Fatalf("proxy: %v", err)
	}
	t.Cleanup(p.Close)
	return p
}

// raw is a plain client, for looking at the server and for breaking things.
func raw(t cleaner, addr string) *goredis.Client {
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

// eventually waits until ok returns true.
func eventually(t cleaner, within time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(within)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
		<-tick.C
	}
}
