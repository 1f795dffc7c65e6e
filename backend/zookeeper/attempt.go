package zookeeper

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// attempt is what this backend knows of one attempt to lock, besides what the ledger does. Its record on the
// server, a node, is its claim. It is Sent from before the first request that may leave a node until an answer
// says that there is none; if it has no node's name meanwhile, it is not known whether there is one.
type attempt struct {
	attempts.Attempt
	parent  string
	meta    string
	session *session      // for good: if it dies, so does the attempt
	ended   chan struct{} // closed when the phase becomes Ending or Gone

	// The rest is guarded by backend.mu, as is the ledger's part.
	in       *parent // while the claim is in its lock's node, or about to be
	node     string
	czxid    int64     // of the node, once it is known that our session made it; else 0
	queued   bool      // it has a node, and waits
	first    bool      // its claim was seen to be the first, and was granted the lock
	watched  int       // the connection on which its loss will be told, see watch.proven; 0: none
	creating *task     // creates the node
	removing *task     // deletes it
	deleting bool      // a deletion was sent and not answered
	removed  bool      // a deletion has ended it
	told     bool      // a Release has said so
	tries    int       // to delete it
	due      time.Time // when keepAlive looks at it
	index    int       // in session.due; -1 if it is not there
}

// path is that of the claim's node.
func (a *attempt) path() string { return a.parent + "/" + a.node }

// lease is the TTL of the attempt's grant: that of its session, which is at least what was asked
// for.
func (a *attempt) lease() time.Duration { return a.session.ttl() }

// queueLocked notes that an attempt has a node. Call with mu held.
func (b *backend) queueLocked(a *attempt, node string) {
	a.node = node
	b.enterParentLocked(a, false)
	if a.Phase() == attempts.Asking && !a.queued {
		a.queued = true
		a.session.waiters++
	}
}

// movedLocked follows an attempt that the ledger has moved on to a later phase. Call with mu held.
func (b *backend) movedLocked(a *attempt) {
	if a.queued && a.Phase() > attempts.Asking {
		a.queued = false
		a.session.waiters--
	}
	if a.Phase() < attempts.Ending {
		return
	}
	select {
	case <-a.ended:
	default:
		close(a.ended)
	}
	if a.Phase() == attempts.Gone {
		a.session.due.remove(a)
		if a.in != nil {
			b.parents.leave(a.in)
			a.in = nil
		}
	}
}

// endLocked ends an attempt: its node is to be deleted. Call with mu held.
func (b *backend) endLocked(a *attempt) {
	b.ledger.End(a)
	b.movedLocked(a)
}

// forgetLocked forgets an attempt, since nothing of it is left on the server or its session is
// dead. It returns whom to tell of that, without the lock. Call with mu held.
func (b *backend) forgetLocked(a *attempt) (lost func(why error)) {
	lost = b.ledger.Forget(a)
	b.movedLocked(a)
	return lost
}

// enterParentLocked notes that the claim is in its lock's node, or is about to be. On an old
// server, without containers, the client that leaves the node last deletes it. Call with mu held.
func (b *backend) enterParentLocked(a *attempt, about bool) {
	switch {
	case a.Phase() == attempts.Gone || b.plain.Load():
	case a.in == nil:
		a.in = b.parents.enter(a.parent, about)
	case !about:
		b.parents.stay(a.in)
	}
}

// lose notes that an attempt's node is gone, and that somebody else has deleted it. It tells the
// holder, unless the holder has released the grant, or let it run out, before.
//
// Loss against release: whichever comes first under backend.mu decides. If the release was first,
// the attempt is ending, and the event of our own deletion finds it so. If the loss was first,
// it is a true one, whatever is released later.
func (b *backend) lose(a *attempt, why error) {
	b.mu.Lock()
	var lost func(error)
	if a.Phase() < attempts.Ending && a.node != "" {
		lost = b.forgetLocked(a)
	}
	b.mu.Unlock()
	if lost != nil {
		lost(why)
	}
}

// enter finds the attempt of a request, or makes it.
func (b *backend) enter(ctx context.Context, req driver.Request) (*attempt, error) {
	if a, err := b.reenter(req); a != nil || err != nil {
		return a, err
	}
	s, err := b.sessionFor(ctx, req.TTL)
	if err != nil {
		return nil, err
	}
	fresh := &attempt{
		parent: b.parentOf(req.Key), meta: driver.JoinIdentity(req.Identity, req.Meta), session: s, index: -1, ended: make(chan struct{}),
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, errClosed
	case s.isDead:
		return nil, errExpired
	}
	// Opening a session takes time. Another call of this attempt, or Release, may have come first.
	a, err := b.ledger.Enter(req, fresh)
	if a == fresh {
		a.Sent = false // whatever it is that the core calls again, no request of this client has left a node
	}
	return a, err
}

// reenter finds the attempt of a request, if there is one.
func (b *backend) reenter(req driver.Request) (*attempt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, errClosed
	case b.ledger.Find(attempts.ID{Key: req.Key, AttemptID: req.AttemptID}) == nil:
		return nil, nil
	}
	return b.ledger.Enter(req, nil)
}

// leave ends an Acquire. An attempt of which nothing was sent is forgotten. One that waits keeps
// its position in the queue for a TTL, so that it can ask again.
func (b *backend) leave(a *attempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ledger.Leave(a, time.Now().Add(a.lease()))
	b.movedLocked(a)
	if a.Phase() == attempts.Asking && a.Calls() == 0 {
		a.session.scheduleLocked(a, a.Expires())
	}
}

// untouched reports whether nothing of the attempt can be on the server.
func (b *backend) untouched(a *attempt) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !a.Sent
}

// fate says why an attempt is over. It returns nil if it is not.
func (b *backend) fate(a *attempt) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return a.Err()
}
