package locktest

import (
	"errors"
	"testing"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// Loss is how a message gets lost, with its connection: the request, so that
// nothing is carried out; or the reply, so that all is, and nobody knows.
type Loss struct {
	Name string
	of   func(p *proxy.Proxy, match func([]byte) bool, n int) *proxy.Fault
}

// The losses there are.
var (
	LostRequest = Loss{"request", (*proxy.Proxy).LoseRequest}
	LostReply   = Loss{"reply", (*proxy.Proxy).LoseReplyTo}
)

// LossWorld is a client that may lose messages, and another that does not.
type LossWorld struct {
	Loss
	Link         *proxy.Proxy // of the loser
	Loser, Other *fencelock.Client
	Server       *servers.Server
	NS           string
	Book         Ledger
	NothingLeft  func() // wants nothing to be left behind
}

// EachLoss runs a test on each server with a request lost, and with a reply lost, in a
// world that is made for it. Afterwards the loser must work as before, and nothing be left
// behind.
func EachLoss(t *testing.T, kinds []servers.Kind, create func(*testing.T, *servers.Server) *LossWorld, test func(*testing.T, *LossWorld)) {
	t.Helper()
	t.Parallel()
	for _, kind := range kinds {
		for _, l := range []Loss{LostRequest, LostReply} {
			t.Run(kind.String()+"/"+l.Name, func(t *testing.T) {
				t.Parallel()
				w := create(t, servers.Shared(t, kind))
				w.Loss = l
				test(t, w)
				w.Book.TakeTurns(t, Soon, "k", w.Other, w.Loser)
				w.NothingLeft()
			})
		}
	}
}

// Lose arms the loss, and returns a function that waits until it has happened.
func (w *LossWorld) Lose(t *testing.T, match func(request []byte) bool) (happened func()) {
	t.Helper()
	fault := w.of(w.Link, match, 1)
	return func() {
		t.Helper()
		Await(t, Soon, "the "+w.Name+" is lost", fault.Fired())
	}
}

// HandOff has the loser unlock what the other waits for, in a way that loses a
// message. The other gets the lock all the same.
func (w *LossWorld) HandOff(t *testing.T, match func(request []byte) bool, unlock func(*fencelock.Lease)) {
	t.Helper()
	lease := Lock(t, w.Loser, "k")
	w.Book.Record(t, lease)
	next := StartLock(t.Context(), w.Other, "k")
	AwaitWaiters(t, Soon, w.Other, "k", 1)
	happened := w.Lose(t, match)
	unlock(lease)
	happened()
	lease = ExpectLock(t, next, Soon)
	w.Book.Record(t, lease)
	Unlock(t, lease)
}

// Evict has the loser evict the other. Whether that was carried out cannot be found out
// by asking again, and it says so.
func (w *LossWorld) Evict(t *testing.T, match func(request []byte) bool) {
	t.Helper()
	held := Lock(t, w.Other, "k")
	w.Book.Record(t, held)
	happened := w.Lose(t, match)
	if _, err := w.Loser.Evict(t.Context(), "k", ""); !errors.Is(err, fencelock.ErrUnknown) {
		t.Errorf("Evict = %v, want ErrUnknown", err)
	}
	happened()
	if w.Name == LostReply.Name {
		ExpectLost(t, held, Soon)
		return
	}
	Unlock(t, held)
}
