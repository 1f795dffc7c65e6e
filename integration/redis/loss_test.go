package redis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// eachLoss runs a test on each server with a request lost, and with a reply lost.
// Afterwards nothing may be left behind, and the loser must work as before.
func eachLoss(t *testing.T, test func(t *testing.T, w *locktest.LossWorld)) {
	locktest.EachLoss(t, servers.Redises(), func(t *testing.T, s *servers.Server) *locktest.LossWorld {
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

// TestLossOnLock: Lock asks again under the same name, and gets the one grant.
func TestLossOnLock(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *locktest.LossWorld) {
		happened := w.Lose(t, acquires("wait"))
		lease := locktest.Lock(t, w.Loser, "k")
		happened()
		w.Book.Record(t, lease)
		if _, err := w.Other.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("TryLock of another = %v, want ErrHeld", err)
		}
		locktest.Unlock(t, lease)
	})
}

// TestLossOnTryLock: so does TryLock, whether it wins or not.
func TestLossOnTryLock(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *locktest.LossWorld) {
		happened := w.Lose(t, acquires("try"))
		lease, err := w.Loser.TryLock(t.Context(), "k")
		if err != nil {
			t.Fatalf("TryLock of a free lock: %v", err)
		}
		happened()
		w.Book.Record(t, lease)
		locktest.Unlock(t, lease)

		held := locktest.Lock(t, w.Other, "k")
		w.Book.Record(t, held)
		happened = w.Lose(t, acquires("try"))
		if lease, err := w.Loser.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("TryLock of a held lock = %v, %v; want ErrHeld", lease, err)
		}
		happened()
		locktest.Unlock(t, held)
	})
}

// TestLossOnConfirmation: a waiter keeps its position.
func TestLossOnConfirmation(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *locktest.LossWorld) {
		held := locktest.Lock(t, w.Other, "k")
		w.Book.Record(t, held)
		happened := w.Lose(t, acquires("again"))
		first := locktest.StartLock(t.Context(), w.Loser, "k", fencelock.WithTTL(900*time.Millisecond))
		awaitWaiters(t, w.Other, "k", 1)
		happened()
		locktest.Eventually(t, locktest.Soon, "it confirms again", func() bool {
			s, err := w.Other.Inspect(t.Context(), "k")
			return err == nil && s.Waiters == 1
		})
		locktest.Unlock(t, held)
		lease := locktest.ExpectLock(t, first, locktest.Soon)
		w.Book.Record(t, lease)
		locktest.Unlock(t, lease)
	})
}

// TestLossOnRenewal: the lease goes on.
func TestLossOnRenewal(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *locktest.LossWorld) {
		const ttl = 1200 * time.Millisecond
		lease := locktest.Lock(t, w.Loser, "k", fencelock.WithTTL(ttl))
		w.Book.Record(t, lease)
		first := lease.ValidUntil()
		happened := w.Lose(t, renews)
		happened()
		locktest.Eventually(t, locktest.Soon, "the lease outlives its first term", func() bool {
			return time.Now().After(first.Add(ttl/2)) || lease.Err() != nil
		})
		if err := lease.Err(); err != nil {
			t.Fatalf("Err = %v", err)
		}
		locktest.Unlock(t, lease)
	})
}

// TestLossOnUnlock: it returns nil, since the lock was held until then.
func TestLossOnUnlock(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *locktest.LossWorld) {
		w.HandOff(t, scripts, func(l *fencelock.Lease) { locktest.Unlock(t, l) })
	})
}

// TestLossOnUnlockOfALostLease: a release that meets nothing is no success, even
// if the first copy of it went astray. The holder is told by its client, since the
// server's word came first.
func TestLossOnUnlockOfALostLease(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *locktest.LossWorld) {
		lease := locktest.Lock(t, w.Loser, "k")
		w.Book.Record(t, lease)
		if _, err := w.Other.Evict(t.Context(), "k", ""); err != nil {
			t.Fatal(err)
		}
		locktest.ExpectLost(t, lease, locktest.Soon)
		happened := w.Lose(t, scripts)
		if err := lease.Unlock(t.Context()); !errors.Is(err, fencelock.ErrLost) {
			t.Errorf("Unlock = %v, want ErrLost", err)
		}
		happened() // in the background
	})
}

// TestLossOnEvict: whether it was carried out cannot be found out by asking again,
// and it says so. The look at the holder that comes before it is not lost.
func TestLossOnEvict(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *locktest.LossWorld) { w.Evict(t, evicts) })
}

// TestLossOnInspect: it says that the server could not be asked.
func TestLossOnInspect(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *locktest.LossWorld) {
		held := locktest.Lock(t, w.Other, "k")
		w.Book.Record(t, held)
		warm(t, w.Loser) // a connection that was idle would be replaced without a word
		happened := w.Lose(t, scripts)
		if s, err := w.Loser.Inspect(t.Context(), "k"); !errors.Is(err, fencelock.ErrUnavailable) {
			t.Errorf("Inspect = %v, %v; want ErrUnavailable", s, err)
		}
		happened()
		if s, err := w.Loser.Inspect(t.Context(), "k"); err != nil || !s.Held() || s.Holders[0].Token != held.Token() {
			t.Errorf("Inspect = %+v, %v; want the holder", s, err)
		}
		locktest.Unlock(t, held)
	})
}
