package fencelock

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// turns is the queue of this process. For each key at most one goroutine at a time waits at the
// server. The others wait here, first come, first served: a thousand goroutines that want one key
// cost the server one waiter.
//
// The turn is given up when the lock is granted, not when it is released: the
// next goroutine joins the server's queue while this one holds the lock, so that
// the hand-off between two goroutines of one process is as quick as between two
// processes, and fair to both.
type turns struct {
	mu   sync.Mutex
	keys map[string]*turn // of keys whose turn is taken
}

// turn is of one key. It is a part of the first call that wanted the key, and passes from call to call.
type turn struct {
	waiting *list.List // as chan struct{}; nil until somebody waits
	last    lastAnswer // to the goroutine that has the turn, for all who wait
}

// take waits for the turn of key. If ctx ends first it returns its cause, and
// the turn is as if take had never been called. The server's last answer is
// returned in both cases.
func (t *turns) take(ctx *call, key string) (*lastAnswer, error) {
	t.mu.Lock()
	k, taken := t.keys[key]
	if !taken {
		if t.keys == nil {
			t.keys = make(map[string]*turn)
		}
		k = &ctx.turn
		t.keys[key] = k
		t.mu.Unlock()
		return &k.last, nil
	}
	if k.waiting == nil {
		k.waiting = list.New()
	}
	mine := make(chan struct{})
	place := k.waiting.PushBack(mine)
	t.mu.Unlock()

	select {
	case <-mine:
		// Ours, even if ctx ended at the same moment: the acquire that follows
		// looks at ctx itself, and gives the turn up as it always does.
		return &k.last, nil
	case <-ctx.Done():
		t.mu.Lock()
		defer t.mu.Unlock()
		select {
		case <-mine:
			// handOn came first: it closed the channel and took us off the list
			// before we got the mutex. The turn is ours and must not be lost.
			t.handOnLocked(key)
		default:
			// We came first: with the mutex held, nobody can hand the turn to us any more
			// once we are off the list.
			k.waiting.Remove(place)
		}
		return &k.last, context.Cause(ctx)
	}
}

// handOn gives the turn of key to the goroutine that has waited longest.
func (t *turns) handOn(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.handOnLocked(key)
}

func (t *turns) handOnLocked(key string) {
	k := t.keys[key]
	if k.waiting == nil || k.waiting.Len() == 0 {
		delete(t.keys, key)
		return
	}
	close(k.waiting.Remove(k.waiting.Front()).(chan struct{}))
}

// lastAnswer is what the server last said to those who wait for a key. When the context of a wait
// ends, it tells what the wait was for: a holder that takes long, or a server that does not answer.
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

// errorKind says what a wait that ends now was for: the kind of its error, and the last
// that came from the server, or that nothing did.
//
// An answer may be on its way just now, or a holder may have unlocked since the last one.
// So ErrHeld is what was true when the server was last heard, less than a TTL ago, and
// ErrUnavailable that nothing is known.
func (h *lastAnswer) errorKind() (kind, why error) {
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
