package etcd_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/integration/internal/locktest"
)

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
