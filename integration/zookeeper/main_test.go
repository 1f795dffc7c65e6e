// Package zookeeper_test runs backend/zookeeper against real servers.
package zookeeper_test

import (
	"context"
	"encoding/binary"
	"errors"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/zookeeper"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

func TestMain(m *testing.M) { servers.Main(m) }

// dial opens a backend on the server at addr.
func dial(t locktest.T, addr, ns string) driver.Backend {
	t.Helper()
	return locktest.Dial(t, zookeeper.Open, &url.URL{Scheme: "zookeeper", Host: addr, RawQuery: "namespace=" + ns})
}

// through puts a proxy in front of the server at addr.
func through(t locktest.T, addr string) *proxy.Proxy {
	t.Helper()
	return locktest.Through(t, addr, proxy.ZooKeeper)
}

type silence struct{}

func (silence) Printf(string, ...any) {}

// raw is a plain client, for looking at the server and for breaking things.
func raw(t locktest.T, addrs ...string) *zk.Conn {
	t.Helper()
	return connect(t, 5*time.Second, addrs...)
}

func connect(t locktest.T, timeout time.Duration, addrs ...string) *zk.Conn {
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

// creates matches the requests that make claims' nodes.
func creates(request []byte) bool {
	const create = 1 // the operation, which the first header of a multi names
	return proxy.ZKOpOf(request) == "multi" && len(request) >= 12 && binary.BigEndian.Uint32(request[8:]) == create
}

// claims returns the nodes of a key, in order.
func claims(t locktest.T, c *zk.Conn, parent string) []string {
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

func contextFor(t locktest.T, d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), d)
}

// soon is more than anything here takes, and less than a test's patience.
const soon = 15 * time.Second

// open is dial with the core on top.
func open(t *testing.T, addr, ns string, ttl time.Duration) *fencelock.Client {
	t.Helper()
	return locktest.Open(t, "zookeeper://"+addr, ns, ttl)
}

// lock takes a lock that is free, or will be soon.
func lock(t *testing.T, l fencelock.Locker, key string) *fencelock.Lease {
	t.Helper()
	return locktest.ExpectLock(t, locktest.StartLock(t.Context(), l, key), soon)
}

// awaitWaiters waits until n claims stand behind the holder's.
func awaitWaiters(t *testing.T, c *fencelock.Client, key string, n int) {
	t.Helper()
	locktest.AwaitWaiters(t, soon, c, key, n)
}

func lockOrNil(t *testing.T, c *fencelock.Client, key string) *fencelock.Lease {
	l, err := c.Lock(t.Context(), key)
	if err != nil {
		t.Errorf("Lock: %v", err)
	}
	return l
}
