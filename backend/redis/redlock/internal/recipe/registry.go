package recipe

import (
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// registry knows the attempts of this client. Its mutex guards what the ledger has of each, and is taken
// before that of an attempt, if both are.
type registry struct {
	mu sync.Mutex
	attempts.Ledger[*attempt]
}

// attempt is an attempt to lock, with what the nodes may have of it. Its mutex guards that. It is the last
// that is taken: no request is sent while it is held, for the answer may come before Send returns.
//
// Key, AttemptID and TTL never change. Sent says too little here, since there are several nodes: outstanding,
// mayArrive and reached say it of each.
type attempt struct {
	attempts.Attempt

	mu           sync.Mutex
	signal       chan struct{} // of the Acquire that is under way; nil if none is
	evictedEarly bool          // an operator has ended what the last try has, or had

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

	// Since its grant was handed out.
	held       bool
	id         wire.ID
	token      uint64
	meta       string
	repairs    vote.Set // nodes that are being repaired
	rechecking recheckState

	wanted *wanted // what the last try sends
	ending *ending // the last Release; nil if none has come
}

// enter begins an Acquire, which waits for the signal. held says that the attempt has been handed its grant.
func (r *registry) enter(req driver.Request, signal chan struct{}) (a *attempt, held bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, err = r.Enter(req, new(attempt))
	switch {
	case err != nil:
		return nil, false, err
	case a.Calls() > 1:
		r.Leave(a, time.Time{})
		return nil, false, errConcurrent
	}
	a.Sent = true
	a.mu.Lock()
	defer a.mu.Unlock()
	a.signal = signal
	return a, a.Phase() == attempts.Held, nil
}

// leave ends it. The attempt stays in the ledger until it is released, as the core does with each that it
// gives up.
func (r *registry) leave(a *attempt) {
	a.mu.Lock()
	a.signal = nil // first: another Acquire may enter as soon as this one has left
	a.mu.Unlock()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Leave(a, time.Time{})
}

// forget drops an attempt of which nothing is left, and returns what tells its holder, or nil.
func (r *registry) forget(a *attempt) (lost func(why error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.Forget(a)
}

// release keeps an attempt out from now on. It returns the attempt, or nil if this client knows nothing of
// it: then the caller ends what nodes may have of it.
func (r *registry) release(g driver.Grant) *attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, _ := r.Release(g) // the attempt knows itself which nodes may be late
	if a != nil {
		r.Forget(a)
	}
	return a
}
