package zookeeper

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// phase is where a claim is in its life. It only ever goes on, never back.
type phase int

const (
	asking  phase = iota // no node is known yet
	waiting              // it has a node, and so a place
	held                 // Acquire has granted it
	leaving              // its node is to be deleted, or is being
	gone                 // nothing of it is on the server
)

// claimID names a claim: an owner may be released on one key and not another.
type attemptKey struct{ key, attemptID string }

// claim is what this backend knows of one attempt to lock. It is made before the
// first request that may leave something on the server, and forgotten when that is
// known to be gone: so an attempt without a claim has nothing there.
type attempt struct {
	attemptKey
	parent  string
	meta    string
	ttl     time.Duration // Request.TTL
	session *session      // for good: if it dies, so does the claim
	ended   chan struct{} // closed when the phase becomes leaving or gone

	// The rest is guarded by backend.mu.
	in        *parent // while it is in its lock's node, or about to be
	lost      func(why error)
	phase     phase
	released  bool // Release was called
	late      bool // a copy of a call may still come
	granted   bool // it was held
	callers   int  // Acquires under way
	sent      bool // a create was sent and not answered: there may be a node
	node      string
	czxid     int64     // of the node, once it is known to be of our session; else 0
	start     time.Time // of the lease
	idleSince time.Time // since when no Acquire is under way
	watched   int       // the loss will be told, says watch.proven; 0: it will not
	creating  *task     // creates the node
	removing  *task     // deletes it
	deleting  bool      // a deletion was sent and not answered
	tries     int       // to delete it
	due       time.Time // when the session's keeper looks at it
	index     int       // in the agenda; -1 if it is not there
}

// path is that of the claim's node.
func (a *attempt) path() string { return a.parent + "/" + a.node }

// lease is the TTL of the claim's grant: what its session has, which is at least what
// was asked for. An application's session may have far more; then it is what was asked
// for, after which the keeper ends the grant.
func (a *attempt) lease() time.Duration {
	if a.session.link == nil {
		return a.ttl
	}
	return a.session.ttl()
}

// ends is when the lease is over. Call with mu held.
func (a *attempt) ends() time.Time { return a.start.Add(a.lease()) }

// grantLocked is what Acquire returns for a claim that is held. Call with mu held.
func (a *attempt) grantLocked() driver.Grant {
	return driver.Grant{
		Key: a.key, AttemptID: a.attemptID, Token: fencing.Token(a.czxid), Start: a.start, TTL: a.lease(),
	}
}

// moveLocked moves a claim on to another phase. Call with mu held.
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

// forgetLocked takes in that nothing of a claim is left on the server, or that its
// session is dead. Call with mu held.
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
	// An owner that had the lock has it never again, and a copy of a call of one
	// that was released must find out.
	if a.granted && (!a.released || a.late) {
		b.tombstones.Add(a.attemptKey)
	}
}

// enterParentLocked notes that a claim is in its lock's node, or is about to be. An old
// server's node is deleted by whoever leaves it last. Call with mu held.
func (b *backend) enterParentLocked(a *attempt, about bool) {
	switch {
	case a.phase == gone || b.plain.Load():
	case a.in == nil:
		a.in = b.parents.enter(a.parent, about)
	case !about:
		b.parents.stay(a.in)
	}
}

// lose takes in that the node of a claim is gone, by other hands than ours. The
// holder is told; but not if it has released the grant, or let it run out, before.
//
// Loss against release: the one that comes first under the lock decides. A release
// that was first has made the claim leaving, and the event of its own deletion finds
// it so. A loss that was first is a true one, whatever is released later.
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

// enter finds the owner's claim, or makes one.
func (b *backend) enter(ctx context.Context, req driver.Request) (*attempt, error) {
	id := attemptKey{req.Key, req.AttemptID}
	if a, err := b.reenter(id, req); a != nil || err != nil {
		return a, err
	}
	s, err := b.sessionFor(ctx, req.TTL)
	if err != nil {
		return nil, err
	}
	// Opening a session takes time. Another call of this owner may have been here, or
	// Release.
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

// joinLocked enters one more Acquire of an owner.
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

// leave ends an Acquire. A claim of which nothing was sent is forgotten. A place in
// the queue is kept for a TTL, for an owner that asks again.
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

// untouched reports whether nothing of the claim can be on the server.
func (b *backend) untouched(a *attempt) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return a.phase == asking && !a.sent && a.creating == nil
}

// fate is why a claim has ended; nil if it has not.
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
		return errNoPlace
	}
}
