package zookeeper

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/driver"
)

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
