package redis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// loss is how a message gets lost, with its connection: the request, so that
// nothing is carried out; or the reply, so that all is, and nobody knows.
type loss struct {
	name string
	of   func(p *proxy.Proxy, match func([]byte) bool) *proxy.Fault
}

var (
	lostRequest = loss{"request", func(p *proxy.Proxy, match func([]byte) bool) *proxy.Fault { return p.LoseRequest(match, 1) }}
	lostReply   = loss{"reply", func(p *proxy.Proxy, match func([]byte) bool) *proxy.Fault { return p.LoseReplyTo(match, 1) }}
)

// lossWorld is a client that may lose messages, and another that does not.
type lossWorld struct {
	link         *proxy.Proxy
	loser, other *fencelock.Client
	ns           string
	book         ledger
}

// eachLoss runs a test on each server with a request lost, and with a reply lost.
// Afterwards nothing may be left behind, and the loser must work as before.
func eachLoss(t *testing.T, test func(t *testing.T, w *lossWorld, l loss)) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		for _, l := range []loss{lostRequest, lostReply} {
			t.Run(kind.String()+"/"+l.name, func(t *testing.T) {
				t.Parallel()
				s, ns := servers.Shared(t, kind), namespace()
				p := through(t, s.Addr())
				w := &lossWorld{link: p, loser: open(t, p.Addr(), ns, time.Minute), other: open(t, s.Addr(), ns, time.Minute), ns: ns}
				warm(t, w.loser)
				test(t, w, l)
				for _, c := range []*fencelock.Client{w.other, w.loser} {
					l := lock(t, c, "k")
					w.book.enter(t, l)
					unlock(t, l)
				}
				expectNothingLeft(t, raw(t, s.Addr()), ns)
			})
		}
	}
}

// lose arms a loss, and returns a function that waits until it has happened.
func (w *lossWorld) lose(t *testing.T, l loss, match func([]byte) bool) (happened func()) {
	t.Helper()
	fault := l.of(w.link, match)
	return func() {
		t.Helper()
		await(t, "the "+l.name+" is lost", soon, fault.Fired())
	}
}

// TestLossOnLock: Lock asks again under the same name, and gets the one grant.
func TestLossOnLock(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *lossWorld, l loss) {
		happened := w.lose(t, l, acquires("wait"))
		lease := lock(t, w.loser, "k")
		happened()
		w.book.enter(t, lease)
		if _, err := w.other.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("TryLock of another = %v, want ErrHeld", err)
		}
		unlock(t, lease)
	})
}

// TestLossOnTryLock: so does TryLock, whether it wins or not.
func TestLossOnTryLock(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *lossWorld, l loss) {
		happened := w.lose(t, l, acquires("try"))
		lease, err := w.loser.TryLock(t.Context(), "k")
		if err != nil {
			t.Fatalf("TryLock of a free lock: %v", err)
		}
		happened()
		w.book.enter(t, lease)
		unlock(t, lease)

		held := lock(t, w.other, "k")
		w.book.enter(t, held)
		happened = w.lose(t, l, acquires("try"))
		if lease, err := w.loser.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("TryLock of a held lock = %v, %v; want ErrHeld", lease, err)
		}
		happened()
		unlock(t, held)
	})
}

// TestLossOnConfirmation: a waiter keeps its place.
func TestLossOnConfirmation(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *lossWorld, l loss) {
		held := lock(t, w.other, "k")
		w.book.enter(t, held)
		happened := w.lose(t, l, acquires("again"))
		first := startLock(t.Context(), w.loser, "k", fencelock.WithTTL(900*time.Millisecond))
		awaitWaiters(t, w.other, "k", 1)
		happened()
		eventually(t, soon, "it confirms again", func() bool {
			s, err := w.other.Inspect(t.Context(), "k")
			return err == nil && s.Waiters == 1
		})
		unlock(t, held)
		lease := expectLock(t, first, soon)
		w.book.enter(t, lease)
		unlock(t, lease)
	})
}

// TestLossOnRenewal: the lease goes on.
func TestLossOnRenewal(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *lossWorld, l loss) {
		const ttl = 1200 * time.Millisecond
		lease := lock(t, w.loser, "k", fencelock.WithTTL(ttl))
		w.book.enter(t, lease)
		first := lease.ValidUntil()
		happened := w.lose(t, l, renews)
		happened()
		eventually(t, soon, "the lease outlives its first term", func() bool {
			return time.Now().After(first.Add(ttl/2)) || lease.Err() != nil
		})
		if err := lease.Err(); err != nil {
			t.Fatalf("Err = %v", err)
		}
		unlock(t, lease)
	})
}

// TestLossOnUnlock: it returns nil, since the lock was held until then.
func TestLossOnUnlock(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *lossWorld, l loss) {
		lease := lock(t, w.loser, "k")
		w.book.enter(t, lease)
		next := startLock(t.Context(), w.other, "k")
		awaitWaiters(t, w.other, "k", 1)
		happened := w.lose(t, l, scripts)
		unlock(t, lease)
		happened()
		lease = expectLock(t, next, soon)
		w.book.enter(t, lease)
		unlock(t, lease)
	})
}

// TestLossOnUnlockOfALostLease: a release that meets nothing is no success, even
// if the first copy of it went astray. The holder is told by its client, since the
// server's word came first.
func TestLossOnUnlockOfALostLease(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *lossWorld, l loss) {
		lease := lock(t, w.loser, "k")
		w.book.enter(t, lease)
		if err := w.other.Evict(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		expectLost(t, lease, soon)
		happened := w.lose(t, l, scripts)
		if err := lease.Unlock(t.Context()); !errors.Is(err, fencelock.ErrLost) {
			t.Errorf("Unlock = %v, want ErrLost", err)
		}
		happened() // in the background
	})
}

// TestLossOnEvict: whether it was carried out cannot be found out by asking again,
// and it says so.
func TestLossOnEvict(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *lossWorld, l loss) {
		held := lock(t, w.other, "k")
		w.book.enter(t, held)
		happened := w.lose(t, l, scripts)
		if err := w.loser.Evict(t.Context(), "k"); !errors.Is(err, fencelock.ErrUnknown) {
			t.Errorf("Evict = %v, want ErrUnknown", err)
		}
		happened()
		if l.name == lostReply.name {
			expectLost(t, held, soon)
			return
		}
		unlock(t, held)
	})
}

// TestLossOnInspect: it says that the server could not be asked.
func TestLossOnInspect(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *lossWorld, l loss) {
		held := lock(t, w.other, "k")
		w.book.enter(t, held)
		happened := w.lose(t, l, scripts)
		if s, err := w.loser.Inspect(t.Context(), "k"); !errors.Is(err, fencelock.ErrUnavailable) {
			t.Errorf("Inspect = %v, %v; want ErrUnavailable", s, err)
		}
		happened()
		if s, err := w.loser.Inspect(t.Context(), "k"); err != nil || !s.Held || s.Token != held.Token() {
			t.Errorf("Inspect = %+v, %v; want the holder", s, err)
		}
		unlock(t, held)
	})
}
