// Package zookeeper_test runs backend/zookeeper against real servers.
package zookeeper_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"path"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/backend/zookeeper"
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
	b, err := zookeeper.Open(t.Context(), &url.URL{Scheme: "zookeeper", Host: addr, RawQuery: "namespace=" + ns})
	if err != nil {
		t.Fatalf("opening ZooKeeper at %s: %v", addr, err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}

// unlabelled runs f on a goroutine without the labels by which the suite finds
// those that a backend leaks.
func unlabelled(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		pprof.SetGoroutineLabels(context.Background())
		f()
	}()
	<-done
}

// through puts a proxy in front of the server at addr.
func through(t cleaner, addr string) *proxy.Proxy {
	t.Helper()
	var p *proxy.Proxy
	var err error
	unlabelled(func() { p, err = proxy.New(addr, proxy.ZooKeeper) })
	if err != nil {
		t.Fatalf("proxy: %v", err)
	}
	t.Cleanup(p.Close)
	return p
}

type silence struct{}

func (silence) Printf(string, ...any) {}

// raw is a plain client, for looking at the server and for breaking things.
func raw(t cleaner, addrs ...string) *zk.Conn {
	t.Helper()
	return connect(t, 5*time.Second, addrs...)
}

func connect(t cleaner, timeout time.Duration, addrs ...string) *zk.Conn {
	t.Helper()
	c, events, err := zk.Connect(addrs, timeout, zk.WithLogger(silence{}))
	if err != nil {
		t.Fatalf("connecting: %v", err)
	}
	t.Cleanup(func() {
		c.Close()
		for range events {
		}
	})
	return c
}

// parentOf is the node of a key.
func parentOf(ns, key string) string {
	switch key {
	case ".", "..":
		return "/" + ns + "/" + strings.ReplaceAll(key, ".", "%2E")
	}
	return "/" + ns + "/" + url.PathEscape(key)
}

// claims returns the nodes of a key, in order.
func claims(t cleaner, c *zk.Conn, parent string) []string {
	t.Helper()
	names, _, err := c.Children(parent)
	if err != nil && !errors.Is(err, zk.ErrNoNode) {
		t.Fatalf("children of %s: %v", parent, err)
	}
	slices.SortFunc(names, func(a, b string) int {
		return strings.Compare(a[strings.IndexByte(a, '#'):], b[strings.IndexByte(b, '#'):])
	})
	for i := range names {
		names[i] = path.Join(parent, names[i])
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

func contextFor(t cleaner, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}
