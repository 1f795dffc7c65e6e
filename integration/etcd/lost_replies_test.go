package etcd_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// eachLoss runs a test with a request lost, and with a reply lost. Afterwards
// nothing may be left behind, and the loser must work as before.
func eachLoss(t *testing.T, test func(t *testing.T, w *locktest.LossWorld)) {
	locktest.EachLoss(t, servers.Etcds(), func(t *testing.T, s *servers.Server) *locktest.LossWorld {
		ns := locktest.Namespace()
		p := through(t, s.Addr())
		w := &locktest.LossWorld{
			Link: p, Server: s, NS: ns,
			Loser: open(t, p.Addr(), ns, time.Minute), Other: open(t, s.Addr(), ns, time.Minute),
			NothingLeft: func() { expectNothingLeft(t, raw(t, s.Addr()), ns) },
		}
		warm(t, w.Loser)
		return w
	}, test)
}

// expectClaims wants so many claims on a lock, however often one was asked for.
func expectClaims(t *testing.T, w *locktest.LossWorld, n int) {
	t.Helper()
	if keys := keysBelow(t, raw(t, w.Server.Addr()), lockPrefix(w.NS, "k")); len(keys) != n {
		t.Errorf("%v are on the server, want %d", keys, n)
	}
}

// TestLossOnLock: Lock asks again under the same name, and gets the one grant.
func TestLossOnLock(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *locktest.LossWorld) {
		happened := w.Lose(t, claims)
		lease := locktest.Lock(t, w.Loser, "k")
		happened()
		w.Book.Record(t, lease)
		expectClaims(t, w, 1)
		if s, err := w.Other.Inspect(t.Context(), "k"); err != nil || !s.Held() || s.Holders[0].Token != lease.Token() {
			t.Errorf("Inspect = %+v, %v; want token %v", s, err, lease.Token())
		}
		locktest.ExpectHeldByAnother(t, w.Other, "k")
		locktest.Unlock(t, lease)
	})
}

// TestLossOnTryLock: so does TryLock, whether it wins or not.
func TestLossOnTryLock(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *locktest.LossWorld) {
		happened := w.Lose(t, claims)
		lease, err := w.Loser.TryLock(t.Context(), "k")
		if err != nil {
			t.Fatalf("TryLock of a free lock: %v", err)
		}
		happened()
		w.Book.Record(t, lease)
		expectClaims(t, w, 1)
		locktest.Unlock(t, lease)

		held := locktest.Lock(t, w.Other, "k")
		w.Book.Record(t, held)
		happened = w.Lose(t, looks)
		if lease, err := w.Loser.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("TryLock of a held lock = %v, %v; want ErrHeld", lease, err)
		}
		happened()
		locktest.Unlock(t, held)
	})
}

// TestLossOnLook: a waiter keeps its position.
func TestLossOnLook(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *locktest.LossWorld) {
		held := locktest.Lock(t, w.Other, "k")
		w.Book.Record(t, held)
		happened := w.Lose(t, looks)
		first := locktest.StartLock(t.Context(), w.Loser, "k")
		happened()
		awaitWaiters(t, w.Other, "k", 1)
		second := locktest.StartLock(t.Context(), open(t, w.Server.Addr(), w.NS, time.Minute), "k")
		awaitWaiters(t, w.Other, "k", 2)
		locktest.Unlock(t, held)
		for _, a := range []<-chan locktest.Attempt{first, second} {
			lease := locktest.ExpectLock(t, a, locktest.Soon)
			w.Book.Record(t, lease)
			locktest.Unlock(t, lease)
		}
	})
}

// TestLossOnRenewal: the lease goes on.
func TestLossOnRenewal(t *testing.T) {
	for name, match := range map[string]func([]byte) bool{
		"keep-alive": proxy.Method("/etcdserverpb.Lease/LeaseKeepAlive"),
		"check":      checks,
	} {
		t.Run(name, func(t *testing.T) {
			eachLoss(t, func(t *testing.T, w *locktest.LossWorld) {
				const ttl = 2 * time.Second
				lease := locktest.Lock(t, w.Loser, "k", fencelock.WithTTL(ttl))
				w.Book.Record(t, lease)
				happened := w.Lose(t, match)
				happened()
				locktest.AwaitRenewal(t, lease, ttl, time.Now())
				locktest.Unlock(t, lease)
			})
		})
	}
}

// TestLossOnUnlock: it asks again, and returns nil, since the lock was held until
// then.
func TestLossOnUnlock(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *locktest.LossWorld) {
		w.HandOff(t, releases, func(l *fencelock.Lease) { locktest.Unlock(t, l) })
	})
}

// TestLossOnUnlockInHaste: with a dead context it asks once, and says that it does
// not know. The lock is free soon all the same.
func TestLossOnUnlockInHaste(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *locktest.LossWorld) {
		w.HandOff(t, releases, func(l *fencelock.Lease) {
			dead, cancel := context.WithCancel(t.Context())
			cancel()
			if err := l.Unlock(dead); !errors.Is(err, fencelock.ErrUnknown) {
				t.Errorf("Unlock = %v, want ErrUnknown", err)
			}
		})
	})
}

// TestLossOnEvict: whether it was carried out cannot be found out by asking again,
// and it says so.
func TestLossOnEvict(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *locktest.LossWorld) { w.Evict(t, releases) })
}

// TestLossOnInspect: the client asks again by itself, since that does no harm.
func TestLossOnInspect(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *locktest.LossWorld) {
		held := locktest.Lock(t, w.Other, "k")
		w.Book.Record(t, held)
		happened := w.Lose(t, looks)
		s, err := w.Loser.Inspect(t.Context(), "k")
		happened()
		if err != nil || !s.Held() || s.Holders[0].Token != held.Token() {
			t.Errorf("Inspect = %+v, %v; want the holder", s, err)
		}
		locktest.Unlock(t, held)
	})
}
