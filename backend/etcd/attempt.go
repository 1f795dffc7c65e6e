package etcd

import (
	"context"
	"fmt"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
	"github.com/fencelock/fencelock/fencing"
)

// attempt is what the backend knows of an attempt to lock, from its first request
// until its claim is known to be gone from the server. It is Grant.Handle. What the ledger has of it, and
// the fields below the first empty line, are guarded by backend.mu.
type attempt struct {
	attempts.Attempt
	session  *session
	name     string // of its claim on the server
	identity string // as driver.JoinIdentity has it

	revision  int64 // that created the claim, and the token; 0 while unknown
	abandoned bool  // the release has failed, or the attempt was overdue: the sweep goes on

	// The outcome of the deletion of the claim; see isNext.
	deletionKnown bool
	deletedAt     int64         // the revision at which we deleted it; 0 if not known
	onDeletion    chan struct{} // closed when deletionKnown is set; nil if nobody waits for it
}

// value is that of the claim on the server. It is not kept: a client may hold a hundred thousand.
func (a *attempt) value() string { return claimValue(a.AttemptID, a.identity) }

var errClaimGone = fmt.Errorf("%w: etcd: the claim is gone from the server", driver.ErrUnavailable)

// enter finds or makes the attempt for a call of Acquire. A fresh one gets the session for its TTL, and
// ends with it.
//
// Enter against the end of the session: if the attempt enters first, loseAll finds it. If the session is dead
// by then, loseAll may have been there already, so the attempt is forgotten here.
func (b *backend) enter(ctx context.Context, req driver.Request) (*attempt, error) {
	s, err := b.session(ctx, req.TTL)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	fresh := &attempt{session: s, identity: driver.JoinIdentity(req.Identity, req.Meta)}
	a, err := b.ledger.Enter(req, fresh)
	if a == fresh {
		a.name = b.claimName(a.Key, s.id)
		b.names[a.name] = a
	}
	b.mu.Unlock()
	if err == nil && a.session.isDead() {
		b.forget(a, errGone)
		b.leave(a)
		return nil, errSessionGone
	}
	return a, err
}

// leave ends a call of Acquire. A claim that nobody waits for any more, and nobody
// releases, is kept for one more TTL, in case its attempt asks again.
func (b *backend) leave(a *attempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ledger.Leave(a, time.Now().Add(a.session.ttl))
	if a.Phase() == attempts.Gone {
		b.freeName(a)
	}
}

// grant makes the Grant of an attempt that has the first claim of its lock. The time of the grant runs
// from the last sign of life of the session: the server cannot end the lease before
// a TTL from there.
//
// Grant against Release, and against the end of the session: if that was first, the ledger says so, and Release
// deletes the claim; if it comes later it finds a grant, whose holder is told of the end.
func (b *backend) grant(ctx context.Context, a *attempt) (driver.Grant, error) {
	start, err := a.session.aliveSince(ctx, a.session.ttl/2)
	if err != nil {
		return driver.Grant{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.revision == 0 && a.Err() == nil {
		return driver.Grant{}, errClaimGone
	}
	return b.ledger.Grant(a, fencing.Token(a.revision), start, a.session.ttl)
}

// sawClaim notes the revision of the claim on the server. Where two calls of an attempt are under way, the claim of
// the one may have been granted, and be gone, when the other makes the next. The grant goes on to be that of
// the first, or its holder would never be told; and Release has to look for another.
func (b *backend) sawClaim(a *attempt, revision int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case a.Phase() == attempts.Asking:
		a.revision = revision
	case a.revision != revision:
		a.Late = true
	}
}

// sawNoClaim notes that the claim is gone from the server, and returns the error for its call of Acquire.
func (b *backend) sawNoClaim(a *attempt) error {
	b.mu.Lock()
	if a.Phase() == attempts.Asking {
		a.revision = 0
		b.mu.Unlock()
		return errClaimGone // Acquire may make it again, at the end of the queue
	}
	b.mu.Unlock()
	b.forget(a, errGone)
	return driver.ErrReleased
}

// forget forgets an attempt of which nothing is on the server, for certain, and tells the
// holder, unless the holder knows it, having released the lock.
func (b *backend) forget(a *attempt, why error) {
	b.mu.Lock()
	lost := b.forgetLocked(a)
	b.mu.Unlock()
	if lost != nil {
		lost(why)
	}
}

// forgetLocked returns the function that tells the holder, or nil. Called with mu held.
func (b *backend) forgetLocked(a *attempt) (lost func(error)) {
	b.freeName(a)
	return b.ledger.Forget(a)
}

// freeName gives the name of a claim to others. Called with mu held.
func (b *backend) freeName(a *attempt) {
	if b.names[a.name] == a {
		delete(b.names, a.name)
	}
}
