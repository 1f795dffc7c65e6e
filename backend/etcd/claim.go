package etcd

import (
	"context"
	"fmt"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// claim is what the backend knows of an attempt to lock, from its first request
// until it is known to be gone from the server. It is Grant.Handle. Its fields
// below the line are guarded by backend.mu.
type claim struct {
	backend    *backend
	key, owner string
	meta       string
	lost       func(why error)

	session  *session
	name     string // of its key on the server, as long as the session lives
	revision int64  // that created its key, and the token; 0 while unknown
	calls    int    // of Acquire, under way
	asked    bool   // the server has been asked to make it
	granted  bool
	late     bool // a request that makes it may still be on its way
	ending   bool // being released, or over
	orphan   bool // and that has failed, or is the keeper's business
	until    time.Time

	// What became of its deletion; see follows.
	settled bool
	left    int64         // the revision at which it went, by our own hand; 0 if not known
	settles chan struct{} // closed when that is settled; nil if nobody waits for it
}

// value is that of its key on the server. It is not kept: a client may hold a hundred thousand.
func (c *claim) value() string { return claimValue(c.owner, c.meta) }

var errClaimGone = fmt.Errorf("%w: etcd: the claim is gone from the server", driver.ErrUnavailable)

// enter finds or makes the claim for a call of Acquire, and its session.
func (b *backend) enter(ctx context.Context, req driver.Request) (*claim, *session, error) {
	s, err := b.session(ctx, req.TTL)
	if err != nil {
		return nil, nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.claims[req.AttemptID]
	if b.released.Has(req.AttemptID) || c != nil && (c.ending || c.key != req.Key) {
		return nil, nil, driver.ErrReleased
	}
	if c == nil {
		c = &claim{
			backend: b, key: req.Key, owner: req.AttemptID, lost: req.Lost,
			meta: driver.JoinIdentity(req.Identity, req.Meta), session: s, name: b.claimName(req.Key, s.id),
		}
		b.claims[req.AttemptID], b.names[c.name] = c, c
	}
	if c.session.isDead() {
		// Its key went with the lease. It begins anew, at the end of the queue.
		delete(b.names, c.name)
		c.session, c.revision, c.granted = s, 0, false
		c.name = b.claimName(c.key, s.id)
		b.names[c.name] = c
	}
	c.late = c.late || req.Retry
	c.asked = c.asked || req.Retry
	c.calls++
	return c, c.session, nil
}

// leave ends a call of Acquire. A claim that nobody waits for any more, and nobody
// releases, is kept for one more TTL, in case it is asked for again.
func (b *backend) leave(c *claim) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.calls--
	switch {
	case !c.asked && c.calls == 0 && b.claims[c.owner] == c:
		b.dropLocked(c) // it left nothing on the server
	case !c.granted:
		c.until = time.Now().Add(c.session.ttl)
	}
}

// grant makes the Grant of a claim that is the first of its lock. Its time runs
// from the last sign of life of the session: the server cannot end the lease before
// a TTL from there.
func (b *backend) grant(ctx context.Context, c *claim, s *session) (driver.Grant, error) {
	start, err := s.fresh(ctx, s.ttl/2)
	if err != nil {
		return driver.Grant{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	// Release may have come in the meantime. If it is first, it is seen here, and
	// deletes the key; if it comes later it finds a grant.
	if c.ending {
		return driver.Grant{}, driver.ErrReleased
	}
	if c.session != s || c.revision == 0 {
		return driver.Grant{}, errClaimGone
	}
	c.granted = true
	c.until = start.Add(s.ttl)
	return driver.Grant{
		Key: c.key, AttemptID: c.owner, Token: fencing.Token(c.revision),
		Start: start, TTL: s.ttl, Handle: c,
	}, nil
}

// forget removes a claim that is gone from the server for certain, and tells the
// holder, if it does not know: if it has released the claim, it does.
func (b *backend) forget(c *claim, why error) {
	b.mu.Lock()
	lost := b.forgetLocked(c)
	b.mu.Unlock()
	if lost != nil {
		lost(why)
	}
}

// forgetLocked returns whom to tell. Called with mu held.
func (b *backend) forgetLocked(c *claim) (lost func(error)) {
	b.dropLocked(c)
	if !c.ending && c.granted {
		lost = c.lost
	}
	c.ending = true
	return lost
}

// dropLocked makes room for others of the same name.
func (b *backend) dropLocked(c *claim) {
	if b.claims[c.owner] == c {
		delete(b.claims, c.owner)
		delete(b.names, c.name)
	}
}

// loseAll tells the holders of a session that has died. Waiting claims stay: their
// calls notice it and say so.
func (b *backend) loseAll(s *session, why error) (n int) {
	var tell []func(error)
	b.mu.Lock()
	for _, c := range b.claims {
		if c.session != s || !c.granted && c.calls > 0 {
			continue
		}
		if lost := b.forgetLocked(c); lost != nil {
			tell = append(tell, lost)
		}
	}
	b.mu.Unlock()
	for _, lost := range tell {
		lost(why)
	}
	return len(tell)
}

// extend notes that a grant has been renewed; false if it is being ended.
func (b *backend) extend(c *claim, until time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.ending {
		return false
	}
	c.until = until
	return true
}
