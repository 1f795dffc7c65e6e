package recipe

import (
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// ledger knows the attempts of this client: those that ask, wait or hold, and the last that were
// released. Its mutex is taken before that of a claim, if both are.
type ledger struct {
	mu       sync.Mutex
	claims   map[string]*claim // by attempt; the others of the same attempt follow by next
	released attempts.Tombstones[attempt]
}

// attempt is an attempt, on the key that it wants.
type attempt struct{ key, attemptID string }

// claim is what an attempt wants, or has: at most one grant in its life. Its mutex is the last that is
// taken: no request is sent while it is held, for the answer may come before Send returns.
type claim struct {
	attempt
	next *claim

	mu           sync.Mutex
	signal       chan struct{} // of the Acquire that is under way; nil if none is
	released     bool
	evictedEarly bool // an operator has ended what the last try has, or had

	// While it waits.
	notified bool      // that the key may be free, since the last try began
	position uint64    // in the queues of nodes; zero if it has none
	mute     vote.Set  // nodes that did not answer the last try
	queued   vote.Set  // nodes on which it may be in the queue
	askAt    time.Time // when it asks again, unless it is told
	hurries  int       // how often it has asked again soon
	expect   time.Time // when the lease in its way ends; zero if another waiter watches that

	last        uint64                // the highest try
	began       time.Time             // when it did
	outstanding [vote.MaxNodes]uint16 // requests that may leave something on a node, and have no answer yet
	mayArrive   vote.Set              // nodes where such a one was given up, and may still come
	reached     vote.Set              // nodes that such a one has reached, or may have

	// Since it was granted.
	held       bool
	id         wire.ID
	token      uint64
	ttl        time.Duration
	meta       string
	lost       func(error)
	repairs    vote.Set // nodes that are being repaired
	rechecking recheckState

	wanted *wanted // what the last try sends
	ending *ending // the last Release
}

// enter finds or makes the claim of an Acquire, which waits for the signal.
func (l *ledger) enter(req driver.Request, signal chan struct{}) (*claim, error) {
	n := attempt{req.Key, req.AttemptID}
	l.mu.Lock()
	if l.released.Has(n) {
		l.mu.Unlock()
		return nil, driver.ErrReleased
	}
	c := l.findLocked(n)
	if c == nil {
		if l.claims == nil {
			l.claims = make(map[string]*claim)
		}
		c = &claim{attempt: n, next: l.claims[n.attemptID]}
		l.claims[n.attemptID] = c
	}
	l.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.released: // just now
		return nil, driver.ErrReleased
	case c.signal != nil:
		return nil, errConcurrent
	}
	c.signal, c.lost = signal, req.Lost
	return c, nil
}

func (l *ledger) findLocked(n attempt) *claim {
	c := l.claims[n.attemptID]
	for c != nil && c.key != n.key {
		c = c.next
	}
	return c
}

// each calls f for the claims of an attempt, or of all if it is empty. f sends nothing.
func (l *ledger) each(attemptID string, f func(*claim)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if attemptID != "" {
		for c := l.claims[attemptID]; c != nil; c = c.next {
			f(c)
		}
		return
	}
	for _, c := range l.claims {
		for ; c != nil; c = c.next {
			f(c)
		}
	}
}

// forget drops a claim of which nothing is left.
func (l *ledger) forget(c *claim) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgetLocked(c)
}

func (l *ledger) forgetLocked(c *claim) {
	first := l.claims[c.attemptID]
	switch {
	case first != c:
		for ; first != nil; first = first.next {
			if first.next == c {
				first.next = c.next
			}
		}
	case c.next == nil:
		delete(l.claims, c.attemptID)
	default:
		l.claims[c.attemptID] = c.next
	}
}

// again makes a new claim for an attempt whose grant has gone. It inherits what may still be on its way.
func (l *ledger) again(old *claim, req driver.Request, signal chan struct{}) (*claim, error) {
	old.leave()
	l.forget(old)
	c, err := l.enter(req, signal)
	if err != nil {
		return nil, err
	}
	old.mu.Lock()
	mayArrive, reached := old.mayArrive, old.reached
	for i, n := range old.outstanding {
		if n > 0 {
			mayArrive = mayArrive.With(i)
		}
	}
	old.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mayArrive |= mayArrive
	c.reached |= reached // they may have the key of the grant that has gone
	return c, nil
}

// release keeps an attempt out from now on, and returns its claim, or nil if it has none.
func (l *ledger) release(n attempt) *claim {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.released.Add(n)
	c := l.findLocked(n)
	if c != nil {
		l.forgetLocked(c)
	}
	return c
}
