package etcd_test

import (
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestHolderIsToldAtOnce: with a TTL of an hour, its next renewal is 20 minutes away.
func TestHolderIsToldAtOnce(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Etcds() {
		for name, end := range map[string]func(*testing.T, *clientv3.Client, string){
			"lease revoked": revoke,
			"evicted":       evict,
		} {
			t.Run(kind.String()+"/"+name, func(t *testing.T) {
				t.Parallel()
				s, ns := servers.Shared(t, kind), locktest.Namespace()
				admin := raw(t, s.Addr())
				c := open(t, s.Addr(), ns, time.Hour)
				var book locktest.Ledger
				held, other := locktest.Lock(t, c, "k"), locktest.Lock(t, c, "another")
				book.Record(t, held)
				end(t, admin, ns)
				locktest.ExpectLost(t, held, locktest.Soon)
				if err := held.Unlock(t.Context()); !errors.Is(err, fencelock.ErrLost) {
					t.Errorf("Unlock = %v, want ErrLost", err)
				}
				if name == "evicted" {
					locktest.Unlock(t, other) // which has nothing to do with it
				} else {
					locktest.ExpectLost(t, other, locktest.Soon)
				}
				next := locktest.Lock(t, c, "k")
				book.Record(t, next)
				locktest.Unlock(t, next)
				expectNothingLeft(t, admin, ns)
			})
		}
	}
}

// revoke ends the lease of a lock's holder, as etcdctl lease revoke does.
func revoke(t *testing.T, admin *clientv3.Client, ns string) {
	t.Helper()
	holder, err := admin.Get(t.Context(), lockPrefix(ns, "k"), clientv3.WithFirstCreate()...)
	if err == nil {
		_, err = admin.Revoke(t.Context(), clientv3.LeaseID(holder.Kvs[0].Lease))
	}
	if err != nil {
		t.Fatalf("revoking: %v", err)
	}
}

// evict ends the claim of a lock's holder, by another client of ours.
func evict(t *testing.T, admin *clientv3.Client, ns string) {
	t.Helper()
	if _, err := open(t, admin.Endpoints()[0], ns, time.Hour).Evict(t.Context(), "k", ""); err != nil {
		t.Fatalf("Evict: %v", err)
	}
}

// TestKeyDeletedByHand: the holder is told with its next renewal.
func TestKeyDeletedByHand(t *testing.T) {
	t.Parallel()
	const ttl = 3 * time.Second
	s, ns := servers.Shared(t, servers.Etcd), locktest.Namespace()
	admin := raw(t, s.Addr())
	c := open(t, s.Addr(), ns, ttl)
	var book locktest.Ledger
	held, other := locktest.Lock(t, c, "k"), locktest.Lock(t, c, "another")
	book.Record(t, held)
	if _, err := admin.Delete(t.Context(), lockPrefix(ns, "k"), clientv3.WithPrefix()); err != nil {
		t.Fatalf("deleting: %v", err)
	}
	deleted := time.Now()
	locktest.ExpectLost(t, held, ttl/3+locktest.Slack)
	if left := time.Until(held.ValidUntil()); left < 0 {
		t.Errorf("told by the end of the lease, %v after the deletion", time.Since(deleted))
	}
	locktest.AwaitRenewal(t, other, ttl, deleted)
	next := locktest.Lock(t, c, "k")
	book.Record(t, next)
	locktest.Unlock(t, next)
	locktest.Unlock(t, other)
}
