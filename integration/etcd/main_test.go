// Package etcd_test runs backend/etcd against real servers.
package etcd_test

import (
	"context"
	"crypto/rand"
	"net/url"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/fencelock/fencelock/backend/etcd"
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

// dial opens a backend on the servers at addrs, separated by commas.
func dial(t cleaner, addrs, ns string) driver.Backend {
	t.Helper()
	b, err := etcd.Open(t.Context(), &url.URL{Scheme: "etcd", Host: addrs, Path: "/" + ns})
	if err != nil {
		t.Fatalf("opening etcd at %s: %v", addrs, err)
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
		p, err = proxy.New(addr, proxy.GRPC)
	}()
	<-made
	if err != nil {
		t.Fatalf("proxy: %v", err)
	}
	t.Cleanup(p.Close)
	return p
}

// raw is a plain client, for looking at the server and for breaking things.
func raw(t cleaner, addrs ...string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: addrs, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		t.Fatalf("etcd client: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
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
