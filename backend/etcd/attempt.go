package etcd

import (
	"context"
	"fmt"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// attempt is what the backend knows of an attempt to lock, from its first request
// until its claim is known to be gone from the server. It is Grant.Handle. The fields
// below the first empty line are guarded by backend.mu.
type attempt struct {
	backend  *backend
	key, id  string
	identity string // as driver.JoinIdentity has it
	lost     func(why error)

	session   *session
	name      string // of its claim on the server, as long as the session lives
	revision  int64  // that created the claim, and the token; 0 while unknown
	calls     int    // of Acquire, under way
	sent      bool   // the server has been asked to make the claim
	granted   bool
	late      bool // a request that makes the claim may still be on its way
	ending    bool // being released, or over
	abandoned bool // the release has failed, or is left to sweep
	keepUntil time.Time

	// The outcome of the deletion of the claim; see isNext.
	deletionKnown bool
	deletedAt     int64         // the revision at which we deleted it; 0 if not known
	onDeletion    chan struct{} // closed when deletionKnown is set; nil if nobody waits for it
}

// value is that of the claim on the server. It is not kept: a client may hold a hundred thousand.
func (a *attempt) value() string { return claimValue(a.id, a.identity) }

var errClaimGone = fmt.Errorf("%w: etcd: the claim is gone from the server", driver.ErrUnavailable)

// beginCall finds or makes the attempt for a call of Acquire, and its session.
func (b *backend) beginCall(ctx context.Context, req driver.Request) (*attempt, *session, error) {
	s, err := b.session(ctx, req.TTL)
	if err != nil {
		return nil, nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	a := b.attempts[req.AttemptID]
	if b.released.Has(req.AttemptID) || a != nil && (a.ending || a.key != req.Key) {
		return nil, nil, driver.ErrReleased
	}
	if a == nil {
		a = &attempt{
			backend: b, key: req.Key, id: req.AttemptID, lost: req.Lost,
			identity: driver.JoinIdentity(req.Identity, req.Meta), session: s, name: b.claimName(req.Key, s.id),
		}
		b.attempts[req.AttemptID], b.names[a.name] = a, a
	}
	if a.session.isDead() {
		// The claim ended with the lease. The attempt begins again, at the end of the queue.
		delete(b.names, a.name)
		a.session, a.revision, a.granted = s, 0, false
		a.name = b.claimName(a.key, s.id)
		b.names[a.name] = a
	}
	a.late = a.late || req.Retry
	a.sent = a.sent || req.Retry
	a.calls++
	return a, a.session, nil
}

// endCall ends a call of Acquire. A claim that nobody waits for any more, and nobody
// releases, is kept for one more TTL, in case its attempt asks again.
func (b *backend) endCall(a *attempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a.calls--
	switch {
	case !a.sent && a.calls == 0 && b.attempts[a.id] == a:
		b.removeLocked(a) // it left nothing on the server
	case !a.granted:
		a.keepUntil = time.Now().Add(a.session.ttl)
	}
}

// grant makes the Grant of an attempt that has the first claim of its lock. The time of the grant runs
// from the last sign of life of the session: the server cannot end the lease before
// a TTL from there.
func (b *backend) grant(ctx context.Context, a *attempt, s *session) (driver.Grant, error) {
	start, err := s.aliveSince(ctx, s.ttl/2)
	if err != nil {
		return driver.Grant{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	// Release may have come in the meantime. If it is first, it is seen here, and
	// deletes the claim; if it comes later it finds a grant.
	if a.ending {
		return driver.Grant{}, driver.ErrReleased
	}
	if a.session != s || a.revision == 0 {
		return driver.Grant{}, errClaimGone
	}
	a.granted = true
	a.keepUntil = start.Add(s.ttl)
	return driver.Grant{
		Key: a.key, AttemptID: a.id, Token: fencing.Token(a.revision),
		Start: start, TTL: s.ttl, Handle: a,
	}, nil
}

// recordRenewal notes that a grant has been renewed; false if it is being ended.
func (b *backend) recordRenewal(a *attempt, until time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a.ending {
		return false
	}
	a.keepUntil = until
	return true
}

func (b *backend) setRevision(a *attempt, revision int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	a.revision = revision
}

func (b *backend) claimNameOf(a *attempt) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return a.name
}
