// Package etcd_test runs backend/etcd against real servers.
package etcd_test

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/etcd"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

func TestMain(m *testing.M) { servers.Main(m) }

// dial opens a backend on the servers at addrs, separated by commas.
func dial(t locktest.T, addrs, ns string) driver.Backend {
	t.Helper()
	return locktest.Dial(t, etcd.Open, &url.URL{Scheme: "etcd", Host: addrs, Path: "/" + ns})
}

// open makes a client for the servers, or the proxies, at addrs.
func open(t *testing.T, addrs, ns string, ttl time.Duration) *fencelock.Client {
	t.Helper()
	return locktest.Open(t, "etcd://"+addrs, ns, ttl)
}

// warm has a client make its session for a TTL, which costs a few requests the
// first time.
func warm(t *testing.T, c *fencelock.Client, opts ...fencelock.LockOption) {
	t.Helper()
	locktest.Unlock(t, locktest.Lock(t, c, "another", opts...))
}

// through puts a proxy in front of the server at addr.
func through(t locktest.T, addr string) *proxy.Proxy {
	t.Helper()
	return locktest.Through(t, addr, proxy.GRPC)
}

// raw is a plain client, for looking at the server and for breaking things.
func raw(t locktest.T, addrs ...string) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: addrs, DialTimeout: 5 * time.Second, Logger: zap.NewNop()})
	if err != nil {
		t.Fatalf("etcd client: %v", err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// awaitWaiters waits until n claims stand behind the holder's. There may be an election
// first.
func awaitWaiters(t *testing.T, c *fencelock.Client, key string, n int) {
	t.Helper()
	locktest.AwaitWaiters(t, locktest.Electing, c, key, n)
}

// keysBelow lists the names below a prefix, and how often each was written to.
func keysBelow(t *testing.T, c *clientv3.Client, prefix string) map[string]int64 {
	t.Helper()
	answer, err := c.Get(t.Context(), prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		t.Fatalf("reading %s: %v", prefix, err)
	}
	written := make(map[string]int64)
	for _, kv := range answer.Kvs {
		written[string(kv.Key)] = kv.Version
	}
	return written
}

// expectNothingLeft waits for what is cleaned up in the background: every claim of
// the namespace.
func expectNothingLeft(t *testing.T, c *clientv3.Client, ns string) {
	t.Helper()
	locktest.ExpectNothingLeft(t, func() []string { return slices.Sorted(maps.Keys(keysBelow(t, c, ns+"/locks/"))) })
}

// revision is that of the server's data now.
func revision(t *testing.T, c *clientv3.Client) int64 {
	t.Helper()
	answer, err := c.Get(t.Context(), "nothing")
	if err != nil {
		t.Fatal(err)
	}
	return answer.Header.Revision
}

// claimsMade tells, from the server's history since a revision, which claims were
// made, by name, and how often.
func claimsMade(t *testing.T, c *clientv3.Client, ns string, since int64) map[string]int {
	t.Helper()
	end, err := c.Put(t.Context(), ns+"/end of the history", "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), locktest.Soon)
	defer cancel()
	made := make(map[string]int)
	for r := range c.Watch(ctx, ns+"/", clientv3.WithPrefix(), clientv3.WithRev(since+1)) {
		for _, e := range r.Events {
			switch {
			case e.Kv.ModRevision == end.Header.Revision:
				return made
			case e.IsCreate() && strings.HasPrefix(string(e.Kv.Key), ns+"/locks/"):
				made[string(e.Kv.Key)]++
			}
		}
	}
	t.Fatal("the server does not tell its history")
	return nil
}
