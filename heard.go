package fencelock

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// lastAnswer is what the server last said to those who wait for a key. From it, a wait whose
// context ends tells what it was for: a holder who takes long, or a server that does not answer.
//
// All goroutines of this process that wait for a key share one: only the first of them asks the
// server, and the answers that it gets are all that the others can know.
type lastAnswer struct {
	mu       sync.Mutex
	answered time.Time // when the server last said that another holds the key
	by       error     // the answer, where it says who: a *HeldError
	until    time.Time // for so long that counts
	due      time.Time // when the request that is out should have been answered; zero if it has been
	failure  error     // of the last request, if it has brought no such answer
}

// requestSent says that a request is sent. On a busy key one is always on its way: it
// counts as silence only when half of its time has gone by.
func (h *lastAnswer) requestSent(ttl time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.due = time.Now().Add(requestTimeout(ttl) / 2)
}

// held says that the server has told that another holds the lock, and by whom where the
// answer has it; otherwise by is nil. It told somebody who hears of it again in half a TTL at
// the latest, and a quarter later on a busy machine.
func (h *lastAnswer) held(ttl time.Duration, by error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	h.answered, h.by, h.until, h.due, h.failure = now, by, now.Add(ttl/2+ttl/4), time.Time{}, nil
}

// failed says that a request has brought an error.
func (h *lastAnswer) failed(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failure = err
}

// heldSince reports whether the server has answered since t.
func (h *lastAnswer) heldSince(t time.Time) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.answered.After(t)
}

var errNoAnswer = fmt.Errorf("%w: the server has not answered", driver.ErrUnavailable)

// verdict says what a wait that ends now was for: the kind of its error, and the last
// that came from the server, or that nothing did.
//
// An answer may be on its way just now, or a holder may have unlocked since the last one.
// So ErrHeld is what was true when the server was last heard, less than a TTL ago, and
// ErrUnavailable that nothing is known.
func (h *lastAnswer) verdict() (kind, why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch now := time.Now(); {
	case h.failure != nil:
		return kindOf(h.failure), h.failure
	case h.answered.IsZero():
		return ErrUnavailable, errNoAnswer
	case now.After(h.until), !h.due.IsZero() && now.After(h.due):
		return ErrUnavailable, fmt.Errorf("%w for %v", errNoAnswer, now.Sub(h.answered).Round(time.Millisecond))
	}
	return ErrHeld, h.holderLocked(time.Since(h.answered))
}

// holderLocked is the *HeldError of an answer of so long ago, or nil where that does not say
// who holds the lock.
func (h *lastAnswer) holderLocked(ago time.Duration) error {
	var by *driver.HeldError
	if !errors.As(h.by, &by) || by.Identity == "" {
		return nil
	}
	return &driver.HeldError{Identity: by.Identity, Left: max(by.Left-ago, 0)}
}
