package etcd_test

import (
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock"
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
				s, ns := servers.Shared(t, kind), namespace()
				admin := raw(t, s.Addr())
				c := open(t, s.Addr(), ns, time.Hour)
				var book ledger
				held, other := lock(t, c, "k"), lock(t, c, "another")
				book.enter(t, held)
				end(t, admin, ns)
				expectLost(t, held, soon)
				if err := held.Unlock(t.Context()); !errors.Is(err, fencelock.ErrLost) {
					t.Errorf("Unlock = %v, want ErrLost", err)
				}
				if name == "evicted" {
					unlock(t, other) // which has nothing to do with it
				} else {
					expectLost(t, other, soon)
				}
				next := lock(t, c, "k")
				book.enter(t, next)
				unlock(t, next)
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
	if err := open(t, admin.Endpoints()[0], ns, time.Hour).Evict(t.Context(), "k"); err != nil {
		t.Fatalf("Evict: %v", err)
	}
}

// TestKeyDeletedByHand: the holder is told with its next renewal.
func TestKeyDeletedByHand(t *testing.T) {
	t.Parallel()
	const ttl = 3 * time.Second
	s, ns := servers.Shared(t, servers.Etcd), namespace()
	admin := raw(t, s.Addr())
	c := open(t, s.Addr(), ns, ttl)
	var book ledger
	held, other := lock(t, c, "k"), lock(t, c, "another")
	book.enter(t, held)
	if _, err := admin.Delete(t.Context(), lockPrefix(ns, "k"), clientv3.WithPrefix()); err != nil {
		t.Fatalf("deleting: %v", err)
	}
	deleted := time.Now()
	expectLost(t, held, ttl/3+slack)
	if left := time.Until(held.ValidUntil()); left < 0 {
		t.Errorf("told by the end of the lease, %v after the deletion", time.Since(deleted))
	}
	awaitRenewal(t, other, ttl, deleted)
	next := lock(t, c, "k")
	book.enter(t, next)
	unlock(t, next)
	unlock(t, other)
}

// TestServerAwayForLongerThanTheTTL: the holder is told at its deadline, and its
// client goes on when the server is back. One that waits for less than the server
// was away is told why it got no lock; another gets it.
func TestServerAwayForLongerThanTheTTL(t *testing.T) {
	t.Parallel()
	const ttl = time.Second
	s, ns := servers.Start(t, servers.Etcd), namespace()
	holder, impatient, patient := open(t, s.Addr(), ns, ttl), open(t, s.Addr(), ns, ttl), open(t, s.Addr(), ns, time.Minute)
	var book ledger
	held := lock(t, holder, "k")
	book.enter(t, held)
	soonTired := startLock(t.Context(), impatient, "k")
	awaitWaiters(t, holder, "k", 1)
	untiring := startLock(t.Context(), patient, "k")
	awaitWaiters(t, holder, "k", 2)

	s.Kill(t)
	expectLost(t, held, ttl+slack)
	if a := outcome(t, soonTired, soon); !errors.Is(a.err, fencelock.ErrUnavailable) || a.lease != nil {
		t.Errorf("Lock = %v, %v; want ErrUnavailable", a.lease, a.err)
	}
	s.Restart(t)
	l := expectLock(t, untiring, 4*soon)
	book.enter(t, l)
	unlock(t, l)
	for _, c := range []*fencelock.Client{holder, impatient, patient} {
		l := expectLock(t, startLock(t.Context(), c, "k"), 2*soon)
		book.enter(t, l)
		unlock(t, l)
	}
	expectNothingLeft(t, raw(t, s.Addr()), ns)
}
