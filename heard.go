package fencelock

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// heard is what the server was last heard to say to those who wait for a key. From it
// a wait whose context ends is known for what it was: for a holder who takes long, or for
// a server that does not answer.
//
// All goroutines of this process that wait for a key share one: only the first of them
// asks the server, and what that one hears is all that the others can know.
type heard struct {
	mu       sync.Mutex
	answered time.Time // when the server last said that another holds the key
	until    time.Time // for so long that counts
	due      time.Time // when the request that is out should have been answered; zero if it has been
	failure  error     // of the last request, if it has brought no such answer
}

// asked takes in that a request is sent. On a busy key one is always on its way: it
// counts as silence only when half of its time has gone by.
func (h *heard) asked(ttl time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.due = time.Now().Add(requestTimeout(ttl) / 2)
}

// held takes in that the server has said that another holds the lock, to somebody who
// hears of it again in half a TTL at the latest, and a half later on a busy machine.
func (h *heard) held(ttl time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	h.answered, h.until, h.due, h.failure = now, now.Add(ttl/2+ttl/4), time.Time{}, nil
}

// failed takes in that a request has brought an error.
func (h *heard) failed(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.failure = err
}

// since reports whether the server has answered since t.
func (h *heard) since(t time.Time) bool {
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
func (h *heard) verdict() (kind, why error) {
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
	return ErrHeld, nil
}

// kindOf returns the kind of an error of the backend's, or nil if it has none of its own.
func kindOf(err error) error {
	for _, kind := range []error{driver.ErrHeld, driver.ErrRefused, driver.ErrUnavailable, ErrInvalid} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}
