package recipe

import (
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/claims"
)

// ledger knows the owners of this client: those that ask, wait or hold, and the last that were
// released. Its mutex is taken before that of a claim, if both are.
type ledger struct {
	mu       sync.Mutex
	claims   map[string]*claim // by owner; the others of the same owner follow by next
	released claims.Tombstones[name]
}

// name is an owner, on the key that it wants.
type name struct{ key, owner string }

// claim is what an owner wants, or has: at most one grant in its life. Its mutex is the last that is
// taken: no request is sent while it is held, for the answer may come before Send returns.
type claim struct {
	name
	next *claim

	mu       sync.Mutex
	bell     chan struct{} // of the Acquire that is under way; nil if none is
	released bool
	struck   bool // an operator has ended what the last try has, or had

	// While it waits.
	told    bool      // that the key may be free, since the last try began
	place   uint64    // in the queues of nodes; zero if it has none
	mute    vote.Set  // nodes that did not answer the last try
	queued  vote.Set  // nodes on which it may be in the queue
	askAt   time.Time // when it asks again, unless it is told
	hurries int       // how often it has asked again soon
	expect  time.Time // when the lease in its way ends; zero if another waiter watches that

	last  uint64            // the highest try
	began time.Time         // when it did
	due   [vote.Most]uint16 // requests that may leave something on a node, and have no answer yet
	late  vote.Set          // nodes where such a one was given up, and may still come
	been  vote.Set          // nodes that such a one has reached, or may have

	// Since it was granted.
	held    bool
	id      wire.ID
	token   uint64
	ttl     time.Duration
	meta    string
	lost    func(error)
	repairs vote.Set // nodes that are being repaired
	doubt   doubt

	wanted *wanted // what the last try sends
	ending *ending // the last Release
}

// enter finds or makes the claim of an Acquire, which rings at the bell.
func (l *ledger) enter(req driver.Request, bell chan struct{}) (*claim, error) {
	n := name{req.Key, req.AttemptID}
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
		c = &claim{name: n, next: l.claims[n.owner]}
		l.claims[n.owner] = c
	}
	l.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.released: // just now
		return nil, driver.ErrReleased
	case c.bell != nil:
		return nil, errTwice
	}
	c.bell, c.lost = bell, req.Lost
	return c, nil
}

func (l *ledger) findLocked(n name) *claim {
	c := l.claims[n.owner]
	for c != nil && c.key != n.key {
		c = c.next
	}
	return c
}

// each calls f for the claims of an owner, or of all if it is empty. f sends nothing.
func (l *ledger) each(owner string, f func(*claim)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if owner != "" {
		for c := l.claims[owner]; c != nil; c = c.next {
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
	first := l.claims[c.owner]
	switch {
	case first != c:
		for ; first != nil; first = first.next {
			if first.next == c {
				first.next = c.next
			}
		}
	case c.next == nil:
		delete(l.claims, c.owner)
	default:
		l.claims[c.owner] = c.next
	}
}

// again makes a new claim for an owner whose grant has gone. It inherits what may still be on its way.
func (l *ledger) again(old *claim, req driver.Request, bell chan struct{}) (*claim, error) {
	old.leave()
	l.forget(old)
	c, err := l.enter(req, bell)
	if err != nil {
		return nil, err
	}
	old.mu.Lock()
	late, been := old.late, old.been
	for i, n := range old.due {
		if n > 0 {
			late = late.With(i)
		}
	}
	old.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.late |= late
	c.been |= been // they may have the key of the grant that has gone
	return c, nil
}

// release keeps an owner out from now on, and returns its claim, or nil if it has none.
func (l *ledger) release(n name) *claim {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.released.Add(n)
	c := l.findLocked(n)
	if c != nil {
		l.forgetLocked(c)
	}
	return c
}
