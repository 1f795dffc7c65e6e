package zookeeper

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// enter finds the owner's claim, or makes one.
func (b *backend) enter(ctx context.Context, req driver.Request) (*claim, error) {
	id := claimID{req.Key, req.AttemptID}
	if c, err := b.reenter(id, req); c != nil || err != nil {
		return c, err
	}
	s, err := b.sessionFor(ctx, req.TTL)
	if err != nil {
		return nil, err
	}
	// Opening a session takes time. Another call of this owner may have been here, or
	// Release.
	if c, err := b.reenter(id, req); c != nil || err != nil {
		return c, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, errClosed
	case s.isDead:
		return nil, errExpired
	case b.released.Has(id):
		return nil, driver.ErrReleased
	case b.claims[id] != nil: // made in this very moment
		return b.joinLocked(b.claims[id], req)
	}
	c := &claim{
		claimID: id, parent: b.parentOf(req.Key), meta: driver.JoinIdentity(req.Identity, req.Meta), ttl: req.TTL, lost: req.Lost,
		session: s, late: req.Retry, callers: 1, index: -1, ended: make(chan struct{}),
	}
	b.claims[id] = c
	s.claims[c] = struct{}{}
	return c, nil
}

func (b *backend) reenter(id claimID, req driver.Request) (*claim, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch c := b.claims[id]; {
	case b.closed:
		return nil, errClosed
	case b.released.Has(id):
		return nil, driver.ErrReleased
	case c == nil:
		return nil, nil
	default:
		return b.joinLocked(c, req)
	}
}

// joinLocked enters one more Acquire of an owner.
func (b *backend) joinLocked(c *claim, req driver.Request) (*claim, error) {
	if c.phase >= leaving {
		return nil, b.fateLocked(c)
	}
	c.callers++
	c.late = c.late || req.Retry
	if req.Lost != nil {
		c.lost = req.Lost
	}
	return c, nil
}

// leave ends an Acquire. A claim of which nothing was sent is forgotten. A place in
// the queue is kept for a TTL, for an owner that asks again.
func (b *backend) leave(c *claim) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.callers--
	if c.callers > 0 {
		return
	}
	switch {
	case c.phase == asking && !c.sent && c.placing == nil:
		b.forgetLocked(c)
	case c.phase == asking || c.phase == waiting:
		c.quiet = time.Now()
		c.session.scheduleLocked(c, c.quiet.Add(c.lease()))
	}
}

// untouched reports whether nothing of the claim can be on the server.
func (b *backend) untouched(c *claim) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return c.phase == asking && !c.sent && c.placing == nil
}

// fate is why a claim has ended; nil if it has not.
func (b *backend) fate(c *claim) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fateLocked(c)
}

func (b *backend) fateLocked(c *claim) error {
	switch {
	case c.phase < leaving:
		return nil
	case c.released || c.granted:
		return driver.ErrReleased
	case c.session.isDead:
		return errExpired
	default:
		return errNoPlace
	}
}
