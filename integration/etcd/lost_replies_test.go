package etcd_test

import (
	"context"
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
	loss
	link         *proxy.Proxy
	loser, other *fencelock.Client
	server       *servers.Server
	ns           string
	book         ledger
}

// eachLoss runs a test with a request lost, and with a reply lost. Afterwards
// nothing may be left behind, and the loser must work as before.
func eachLoss(t *testing.T, test func(t *testing.T, w *lossWorld)) {
	t.Parallel()
	for _, kind := range servers.Etcds() {
		for _, l := range []loss{lostRequest, lostReply} {
			t.Run(kind.String()+"/"+l.name, func(t *testing.T) {
				t.Parallel()
				s, ns := servers.Shared(t, kind), namespace()
				p := through(t, s.Addr())
				w := &lossWorld{
					loss: l, link: p, server: s, ns: ns,
					loser: open(t, p.Addr(), ns, time.Minute), other: open(t, s.Addr(), ns, time.Minute),
				}
				warm(t, w.loser)
				test(t, w)
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
func (w *lossWorld) lose(t *testing.T, match func([]byte) bool) (happened func()) {
	t.Helper()
	fault := w.of(w.link, match)
	return func() {
		t.Helper()
		await(t, "the "+w.name+" is lost", soon, fault.Fired())
	}
}

// expectClaims wants so many claims on a lock, however often one was asked for.
func (w *lossWorld) expectClaims(t *testing.T, n int) {
	t.Helper()
	if keys := keysBelow(t, raw(t, w.server.Addr()), lockPrefix(w.ns, "k")); len(keys) != n {
		t.Errorf("%v are on the server, want %d", keys, n)
	}
}

// TestLossOnLock: Lock asks again under the same name, and gets the one grant.
func TestLossOnLock(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *lossWorld) {
		happened := w.lose(t, claims)
		lease := lock(t, w.loser, "k")
		happened()
		w.book.enter(t, lease)
		w.expectClaims(t, 1)
		if s, err := w.other.Inspect(t.Context(), "k"); err != nil || s.Token != lease.Token() {
			t.Errorf("Inspect = %+v, %v; want token %v", s, err, lease.Token())
		}
		expectHeldByAnother(t, w.other, "k")
		unlock(t, lease)
	})
}

// TestLossOnTryLock: so does TryLock, whether it wins or not.
func TestLossOnTryLock(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *lossWorld) {
		happened := w.lose(t, claims)
		lease, err := w.loser.TryLock(t.Context(), "k")
		if err != nil {
			t.Fatalf("TryLock of a free lock: %v", err)
		}
		happened()
		w.book.enter(t, lease)
		w.expectClaims(t, 1)
		unlock(t, lease)

		held := lock(t, w.other, "k")
		w.book.enter(t, held)
		happened = w.lose(t, looks)
		if lease, err := w.loser.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("TryLock of a held lock = %v, %v; want ErrHeld", lease, err)
		}
		happened()
		unlock(t, held)
	})
}

// TestLossOnLook: a waiter keeps its place.
func TestLossOnLook(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *lossWorld) {
		held := lock(t, w.other, "k")
		w.book.enter(t, held)
		happened := w.lose(t, looks)
		first := startLock(t.Context(), w.loser, "k")
		happened()
		awaitWaiters(t, w.other, "k", 1)
		second := startLock(t.Context(), open(t, w.server.Addr(), w.ns, time.Minute), "k")
		awaitWaiters(t, w.other, "k", 2)
		unlock(t, held)
		for _, a := range []<-chan attempt{first, second} {
			lease := expectLock(t, a, soon)
			w.book.enter(t, lease)
			unlock(t, lease)
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
			eachLoss(t, func(t *testing.T, w *lossWorld) {
				const ttl = 2 * time.Second
				lease := lock(t, w.loser, "k", fencelock.WithTTL(ttl))
				w.book.enter(t, lease)
				happened := w.lose(t, match)
				happened()
				awaitRenewal(t, lease, ttl, time.Now())
				unlock(t, lease)
			})
		})
	}
}

// TestLossOnUnlock: it asks again, and returns nil, since the lock was held until
// then.
func TestLossOnUnlock(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *lossWorld) {
		lease := lock(t, w.loser, "k")
		w.book.enter(t, lease)
		next := startLock(t.Context(), w.other, "k")
		awaitWaiters(t, w.other, "k", 1)
		happened := w.lose(t, releases)
		unlock(t, lease)
		happened()
		lease = expectLock(t, next, soon)
		w.book.enter(t, lease)
		unlock(t, lease)
	})
}

// TestLossOnUnlockInHaste: with a dead context it asks once, and says that it does
// not know. The lock is free soon all the same.
func TestLossOnUnlockInHaste(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *lossWorld) {
		lease := lock(t, w.loser, "k")
		w.book.enter(t, lease)
		next := startLock(t.Context(), w.other, "k")
		awaitWaiters(t, w.other, "k", 1)
		dead, cancel := context.WithCancel(t.Context())
		cancel()
		happened := w.lose(t, releases)
		if err := lease.Unlock(dead); !errors.Is(err, fencelock.ErrUnknown) {
			t.Errorf("Unlock = %v, want ErrUnknown", err)
		}
		happened()
		lease = expectLock(t, next, soon)
		w.book.enter(t, lease)
		unlock(t, lease)
	})
}

// TestLossOnEvict: whether it was carried out cannot be found out by asking again,
// and it says so.
func TestLossOnEvict(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *lossWorld) {
		held := lock(t, w.other, "k")
		w.book.enter(t, held)
		happened := w.lose(t, releases)
		if err := w.loser.Evict(t.Context(), "k"); !errors.Is(err, fencelock.ErrUnknown) {
			t.Errorf("Evict = %v, want ErrUnknown", err)
		}
		happened()
		if w.name == lostReply.name {
			expectLost(t, held, soon)
			return
		}
		unlock(t, held)
	})
}

// TestLossOnInspect: the client asks again by itself, since that does no harm.
func TestLossOnInspect(t *testing.T) {
	eachLoss(t, func(t *testing.T, w *lossWorld) {
		held := lock(t, w.other, "k")
		w.book.enter(t, held)
		happened := w.lose(t, looks)
		s, err := w.loser.Inspect(t.Context(), "k")
		happened()
		if err != nil || !s.Held || s.Token != held.Token() {
			t.Errorf("Inspect = %+v, %v; want the holder", s, err)
		}
		unlock(t, held)
	})
}
