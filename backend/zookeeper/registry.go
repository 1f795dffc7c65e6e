package zookeeper

import (
	"errors"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// attempt is what this backend knows of one attempt to lock, besides what the ledger does. Its
// record on the server, a node, is its claim. It is Sent from before the first request that may
// leave a node until an answer says that there is none; if it has no node's name meanwhile, it is
// not known whether there is one.
type attempt struct {
	attempts.Attempt
	queue
	meta   string
	leases *leases // with its session, for good: if it dies, so does the attempt

	// The rest is guarded by registry.mu, as is the ledger's part.
	in       *parent       // while the claim is in its lock's node, or about to be
	claim    string        // the path of its node; "" if it has none, or its name is not known
	czxid    int64         // of the node, once it is known that our session made it; else 0
	watched  int           // the connection on which its loss will be told, see Watch.Proven; 0: none
	creating *session.Task // creates the node
	look     *position     // in the queue, which came with that, until a caller takes it
	alone    time.Time     // when it was made, if it was the only claim of its lock then
	ended    chan struct{} // closed when the phase becomes Ending or Gone; nil until somebody asks, see over
	removing *session.Task // deletes it
	deleting bool          // a deletion was sent and not answered
	removed  bool          // a deletion has ended it
	told     bool          // a Release has said so
	tries    int           // to delete it
	due      time.Time     // when its leases look at it
	index    int           // in leases.due; -1 if it is not there
}

// node is the name of the claim's node.
func (a *attempt) node() string { return nameIn(a.claim) }

// lease is the TTL of the attempt's grant: that of its session, which is at least what was asked
// for.
func (a *attempt) lease() time.Duration { return a.leases.TTL() }

// timeout bounds a request of the attempt.
func (a *attempt) timeout() time.Duration { return driver.RequestTimeout(a.TTL) }

// registry is what this client knows of its attempts.
type registry struct {
	nodes *lockNodes

	mu     sync.Mutex
	closed bool
	ledger attempts.Ledger[*attempt]
}

// enter finds the attempt of a request, or enters it: fresh, on a session that lives. Without that
// it returns nil if there is none.
func (r *registry) enter(req driver.Request, fresh *attempt) (*attempt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return nil, session.ErrClosed
	case r.ledger.Find(attempts.ID{Key: req.Key, AttemptID: req.AttemptID}) != nil:
	case fresh == nil:
		return nil, nil
	case !fresh.session.Alive(): // a session that dies later finds the attempt in the ledger
		return nil, session.ErrExpired
	}
	a, err := r.ledger.Enter(req, fresh)
	if a == fresh && a != nil {
		a.Sent = false // whatever it is that the core calls again, no request of this client has left a node
	}
	return a, err
}

// leave ends an Acquire. An attempt of which nothing was sent is forgotten. One that waits keeps
// its position in the queue for a TTL, so that it can ask again.
func (r *registry) leave(a *attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ledger.Leave(a, time.Now().Add(a.lease()))
	r.movedLocked(a)
	if a.Phase() == attempts.Asking && a.Calls() == 0 {
		a.leases.scheduleLocked(a, a.Expires())
	}
}

// untouched reports whether nothing of the attempt can be on the server.
func (r *registry) untouched(a *attempt) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !a.Sent
}

// fate says why an attempt is over. It returns nil if it is not.
func (r *registry) fate(a *attempt) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return a.Err()
}

// over returns a channel that is closed when an attempt ends, or has ended.
func (r *registry) over(a *attempt) <-chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if a.ended == nil {
		a.ended = make(chan struct{})
		r.movedLocked(a)
	}
	return a.ended
}

// movedLocked follows an attempt that the ledger has moved on to a later phase. Call with mu held.
func (r *registry) movedLocked(a *attempt) {
	if a.Phase() < attempts.Ending {
		return
	}
	if a.ended != nil {
		select {
		case <-a.ended:
		default:
			close(a.ended)
		}
	}
	if a.Phase() == attempts.Gone {
		a.leases.due.remove(a)
		if a.in != nil {
			r.nodes.leave(a.in)
			a.in = nil
		}
	}
}

// endLocked ends an attempt: its node is to be deleted. Call with mu held.
func (r *registry) endLocked(a *attempt) {
	r.ledger.End(a)
	r.movedLocked(a)
}

// forgetLocked forgets an attempt, since nothing of it is left on the server or its session is
// dead. It returns whom to tell of that, without the lock. Call with mu held.
func (r *registry) forgetLocked(a *attempt) (lost func(why error)) {
	lost = r.ledger.Forget(a)
	r.movedLocked(a)
	return lost
}

// enterParentLocked notes that the claim is in its lock's node, or is about to be. On an old
// server, without containers, the client that leaves the node last deletes it. Call with mu held.
func (r *registry) enterParentLocked(a *attempt, about bool) {
	switch {
	case a.Phase() == attempts.Gone || r.nodes.plain.Load():
	case a.in == nil:
		a.in = r.nodes.enter(a.path, about)
	case !about:
		r.nodes.stay(a.in)
	}
}

// lose notes that an attempt's node is gone, and that somebody else has deleted it. It tells the
// holder, unless the holder has released the grant, or let it run out, before.
//
// Loss against release: whichever comes first under mu decides. If the release was first,
// the attempt is ending, and the event of our own deletion finds it so. If the loss was first,
// it is a true one, whatever is released later.
func (r *registry) lose(a *attempt, why error) {
	r.mu.Lock()
	var lost func(error)
	if a.Phase() < attempts.Ending && a.claim != "" {
		lost = r.forgetLocked(a)
	}
	r.mu.Unlock()
	if lost != nil {
		lost(why)
	}
}

// nodeGone notes, if err says so, that the claim's node is gone.
func (r *registry) nodeGone(a *attempt, err error) error {
	if errors.Is(err, zk.ErrNoNode) {
		r.lose(a, errNodeGone)
		return errNoPosition
	}
	return err
}

// loseAll forgets the attempts of a session that is dead. All its claims are gone for certain, and
// their holders are told.
//
// Death against a grant that is being made: each holds mu when it decides. A grant that
// was first is told of its loss here. A grant that comes later finds its attempt gone, and fails.
func (r *registry) loseAll(s *leases) (claims int) {
	r.mu.Lock()
	var tell []func(error)
	for a := range r.ledger.All() {
		if a.leases != s {
			continue
		}
		claims++
		if lost := r.forgetLocked(a); lost != nil {
			tell = append(tell, lost)
		}
	}
	closed := r.closed
	r.mu.Unlock()
	for _, lost := range tell {
		lost(errSessionEnded)
	}
	if closed {
		return 0
	}
	return claims
}

// holds reports whether any attempt of a session holds its lock.
func (r *registry) holds(s *leases) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for a := range r.ledger.All() {
		if a.leases == s && a.Phase() == attempts.Held {
			return true
		}
	}
	return false
}
