// Package raftlocal_test runs backend/raftlocal on members, and on directories, that other
// processes serve.
package raftlocal_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/raftlocal"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

func TestMain(m *testing.M) {
	if u := os.Getenv(urlVariable); u != "" {
		if err := play(u); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	servers.Main(m)
}

// dial makes a backend, and closes it at the test's end.
func dial(t locktest.T, c *raftlocal.Options) driver.Backend {
	t.Helper()
	b, err := raftlocal.New(t.Context(), c)
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return b
}

// member is the Config of a client of members.
func member(addrs []string, ns string) *raftlocal.Options {
	return &raftlocal.Options{Hosts: addrs, Cluster: servers.RaftCluster, Insecure: true, Namespace: ns}
}

// open makes a client of members.
func open(t locktest.T, addrs []string, ns string, ttl time.Duration) *fencelock.Client {
	t.Helper()
	return locktest.Open(t, servers.RaftURL(addrs, ns), "", ttl)
}

// share makes a client of a directory, which may come to serve it.
func share(t locktest.T, dir, ns string, ttl time.Duration) *fencelock.Client {
	t.Helper()
	return locktest.Open(t, "raft://"+dir+"?namespace="+ns, "", ttl)
}

// status is what the leader tells. There may be an election first.
func status(t locktest.T, c *raftlocal.Options) (s raftlocal.Status) {
	t.Helper()
	admin, err := raftlocal.NewAdmin(c)
	if err != nil {
		t.Fatalf("NewAdmin: %v", err)
	}
	locktest.Eventually(t, locktest.Electing, "the leader tells how it stands", func() bool {
		s, err = admin.Status(t.Context())
		return err == nil && s.Serving
	})
	return s
}

// expectNothingLeft wants no claim to be on the cluster. It is for tests that have it to
// themselves.
func expectNothingLeft(t locktest.T, c *raftlocal.Options) {
	t.Helper()
	locktest.ExpectNothingLeft(t, func() []string {
		s := status(t, c)
		return strings.Fields(strings.Repeat("lock ", s.Locks) + strings.Repeat("waiter ", s.Waiters))
	})
}
