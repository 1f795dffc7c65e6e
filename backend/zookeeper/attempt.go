package zookeeper

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// phase is where an attempt is in its life. It only ever moves forward.
type phase int

const (
	asking  phase = iota // no node is known yet
	waiting              // its claim, a node, is in the queue
	held                 // Acquire has granted it
	leaving              // its node is to be deleted, or is being
	gone                 // nothing of it is on the server
)

// attemptKey names an attempt on one key: the same AttemptID may be released on one key and not
// on another.
type attemptKey struct{ key, attemptID string }

// attempt is what this backend knows of one attempt to lock. Its record on the server, a node, is
// its claim. An attempt is made before the first request that may leave something on the server,
// and forgotten when that is known to be gone: so an attempt that is not in backend.attempts has
// nothing there.
type attempt struct {
	attemptKey
	parent  string
	meta    string
	ttl     time.Duration // Request.TTL
	session *session      // for good: if it dies, so does the attempt
	ended   chan struct{} // closed when the phase becomes leaving or gone

	// The rest is guarded by backend.mu.
	in        *parent // while the claim is in its lock's node, or about to be
	lost      func(why error)
	phase     phase
	released  bool // Release was called
	late      bool // a copy of a call may still come
	granted   bool // it was held
	callers   int  // Acquires under way
	sent      bool // a create was sent and not answered: there may be a node
	node      string
	czxid     int64     // of the node, once it is known that our session made it; else 0
	start     time.Time // of the lease
	idleSince time.Time // since when no Acquire is under way
	watched   int       // the connection on which its loss will be told, see watch.proven; 0: none
	creating  *task     // creates the node
	removing  *task     // deletes it
	deleting  bool      // a deletion was sent and not answered
	tries     int       // to delete it
	due       time.Time // when keepAlive looks at it
	index     int       // in session.due; -1 if it is not there
}

// path is that of the claim's node.
func (a *attempt) path() string { return a.parent + "/" + a.node }

// lease is the TTL of the attempt's grant: that of its session, which is at least what was asked
// for.
func (a *attempt) lease() time.Duration { return a.session.ttl() }

// ends returns when the lease is over. Call with mu held.
func (a *attempt) ends() time.Time { return a.start.Add(a.lease()) }

// grantLocked is what Acquire returns for an attempt that holds the lock. Call with mu held.
func (a *attempt) grantLocked() driver.Grant {
	return driver.Grant{
		Key: a.key, AttemptID: a.attemptID, Token: fencing.Token(a.czxid), Start: a.start, TTL: a.lease(),
	}
}

// moveLocked moves an attempt on to a later phase. Call with mu held.
func (s *session) moveLocked(a *attempt, to phase) {
	if to <= a.phase {
		return
	}
	if a.phase == waiting {
		s.waiters--
	}
	if to == waiting {
		s.waiters++
	}
	if a.phase < leaving && to >= leaving {
		close(a.ended)
	}
	a.phase = to
}

// forgetLocked forgets an attempt, since nothing of it is left on the server or its session is
// dead. Call with mu held.
func (b *backend) forgetLocked(a *attempt) {
	a.session.moveLocked(a, gone)
	a.session.due.remove(a)
	if a.in != nil {
		b.parents.leave(a.in)
		a.in = nil
	}
	if b.attempts[a.attemptKey] == a {
		delete(b.attempts, a.attemptKey)
	}
	delete(a.session.attempts, a)
	// An attempt that held the lock never holds it again, and a late copy of a call of an
	// attempt that was released must find out.
	if a.granted && (!a.released || a.late) {
		b.tombstones.Add(a.attemptKey)
	}
}

// enterParentLocked notes that the claim is in its lock's node, or is about to be. On an old
// server, without containers, the client that leaves the node last deletes it. Call with mu held.
func (b *backend) enterParentLocked(a *attempt, about bool) {
	switch {
	case a.phase == gone || b.plain.Load():
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
// the attempt is leaving, and the event of our own deletion finds it so. If the loss was first,
// it is a true one, whatever is released later.
func (b *backend) lose(a *attempt, why error) {
	b.mu.Lock()
	tell := a.phase == held && a.lost != nil
	if a.phase == waiting || a.phase == held {
		b.forgetLocked(a)
	}
	lost := a.lost
	b.mu.Unlock()
	if tell {
		lost(why)
	}
}

// enter finds the attempt of a request, or makes it.
func (b *backend) enter(ctx context.Context, req driver.Request) (*attempt, error) {
	id := attemptKey{req.Key, req.AttemptID}
	if a, err := b.reenter(id, req); a != nil || err != nil {
		return a, err
	}
	s, err := b.sessionFor(ctx, req.TTL)
	if err != nil {
		return nil, err
	}
	// Opening a session takes time. Another call of this attempt, or Release, may have come
	// first.
	if a, err := b.reenter(id, req); a != nil || err != nil {
		return a, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, errClosed
	case s.isDead:
		return nil, errExpired
	case b.tombstones.Has(id):
		return nil, driver.ErrReleased
	case b.attempts[id] != nil: // made in this very moment
		return b.joinLocked(b.attempts[id], req)
	}
	a := &attempt{
		attemptKey: id, parent: b.parentOf(req.Key), meta: driver.JoinIdentity(req.Identity, req.Meta), ttl: req.TTL, lost: req.Lost,
		session: s, late: req.Retry, callers: 1, index: -1, ended: make(chan struct{}),
	}
	b.attempts[id] = a
	s.attempts[a] = struct{}{}
	return a, nil
}

func (b *backend) reenter(id attemptKey, req driver.Request) (*attempt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch a := b.attempts[id]; {
	case b.closed:
		return nil, errClosed
	case b.tombstones.Has(id):
		return nil, driver.ErrReleased
	case a == nil:
		return nil, nil
	default:
		return b.joinLocked(a, req)
	}
}

// joinLocked enters one more Acquire of an attempt. Call with mu held.
func (b *backend) joinLocked(a *attempt, req driver.Request) (*attempt, error) {
	if a.phase >= leaving {
		return nil, b.endReasonLocked(a)
	}
	a.callers++
	a.late = a.late || req.Retry
	if req.Lost != nil {
		a.lost = req.Lost
	}
	return a, nil
}

// leave ends an Acquire. An attempt of which nothing was sent is forgotten. One that waits keeps
// its position in the queue for a TTL, so that it can ask again.
func (b *backend) leave(a *attempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a.callers--
	if a.callers > 0 {
		return
	}
	switch {
	case a.phase == asking && !a.sent && a.creating == nil:
		b.forgetLocked(a)
	case a.phase == asking || a.phase == waiting:
		a.idleSince = time.Now()
		a.session.scheduleLocked(a, a.idleSince.Add(a.lease()))
	}
}

// untouched reports whether nothing of the attempt can be on the server.
func (b *backend) untouched(a *attempt) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return a.phase == asking && !a.sent && a.creating == nil
}

// endReason says why an attempt has ended. It returns nil if it has not.
func (b *backend) endReason(a *attempt) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.endReasonLocked(a)
}

func (b *backend) endReasonLocked(a *attempt) error {
	switch {
	case a.phase < leaving:
		return nil
	case a.released || a.granted:
		return driver.ErrReleased
	case a.session.isDead:
		return errExpired
	default:
		return errNoPosition
	}
}
