package zookeeper

import (
	"context"
	"errors"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// Acquire makes a claim for the attempt, a node under the key's, unless it has one. The first
// claim holds the lock. Each later one watches only the node directly before its own, so that the
// end of one grant wakes one waiter.
//
// Cancellation against success: the node belongs to the attempt, not to this call. If ctx ends
// first, the attempt stays as it is, and Release, or Look after a TTL, removes what is
// there, also a node that is created later. If the grant was first under registry.mu (see grant), it
// is returned, whatever ctx says by then.
func (b *backend) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	if ctx.Err() != nil {
		return driver.Grant{}, context.Cause(ctx)
	}
	a, err := b.enterOn(ctx, req)
	if err != nil {
		return driver.Grant{}, err
	}
	defer b.leave(a)
	g, err := b.acquire(ctx, a, req)
	if err != nil {
		// An attempt that ended while we were busy with it has not failed by chance.
		if fate := b.fate(a); fate != nil && !errors.Is(err, driver.ErrHeld) && !errors.Is(err, session.ErrExpired) && ctx.Err() == nil {
			err = fate
		}
		return driver.Grant{}, session.ClassifySteps(ctx, err, b.untouched(a))
	}
	return g, nil
}

func (b *backend) acquire(ctx context.Context, a *attempt, req driver.Request) (driver.Grant, error) {
	if !req.Wait && b.untouched(a) {
		if busy, err := a.busy(ctx, a.timeout()); err != nil || busy {
			return driver.Grant{}, heldOr(err)
		}
	}
	p, seen, err := b.ensureNode(ctx, a)
	if err != nil {
		return driver.Grant{}, err
	}
	for ; ; seen = false {
		if !seen {
			p, err = b.readPosition(ctx, a)
		}
		switch {
		case err != nil:
			return driver.Grant{}, err
		case p.predecessor.text == "":
			return b.grant(ctx, a)
		case !req.Wait:
			return driver.Grant{}, heldOr(b.leaveQueue(ctx, a))
		}
		if req.Waiting != nil {
			req.Waiting() // the queue that the server has just shown has our node in it
		}
		first, err := b.waitForPredecessor(ctx, a, p.predecessor.text, req.Waiting)
		switch {
		case err != nil:
			return driver.Grant{}, err
		case first:
			return b.grant(ctx, a)
		}
	}
}

// readPosition looks at the queue, and notes what that tells of the claim.
func (b *backend) readPosition(ctx context.Context, a *attempt) (position, error) {
	b.mu.Lock()
	node, czxid := a.node(), a.czxid // the node does not change once ensureNode has returned
	b.mu.Unlock()
	p, err := session.Ask(ctx, a.session, a.timeout(), func() (position, error) { return a.position(node, czxid) })
	if err != nil {
		return p, b.nodeGone(a, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	a.czxid = p.czxid
	return p, nil
}

// leaveQueue removes a position in the queue that the caller does not wait for.
func (b *backend) leaveQueue(ctx context.Context, a *attempt) error {
	b.mu.Lock()
	b.endLocked(a)
	b.mu.Unlock()
	if err := b.awaitRemoval(ctx, a, a.timeout()); err != nil && !errors.Is(err, zk.ErrNoNode) {
		return err
	}
	return nil
}

func heldOr(err error) error {
	if err != nil {
		return err
	}
	return &driver.HeldError{}
}

// grant gives the lock to an attempt whose claim is the first of its queue. It stays the first,
// since all claims before it are gone for good. The lease begins when the session was last
// confirmed: with the create of the node, if the lock was free.
func (b *backend) grant(ctx context.Context, a *attempt) (driver.Grant, error) {
	if time.Since(a.session.Confirmed()) > a.lease()/3 {
		// We waited for long, and the session could not be confirmed. The lease would be
		// short, or over.
		if err := a.session.Barrier(ctx, a.timeout()); err != nil {
			return driver.Grant{}, err
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	// Whatever ended the attempt until now was first: Release, the death of the session,
	// Close, an eviction, Look. Whatever comes after this finds a grant.
	switch {
	case b.closed:
		return driver.Grant{}, session.ErrClosed
	case !a.session.Alive():
		return driver.Grant{}, session.ErrExpired
	}
	again := a.Granted()
	g, err := b.ledger.Grant(a, fencing.Token(a.czxid), a.session.Confirmed(), a.lease())
	if err == nil && !again {
		a.leases.scheduleLocked(a, earlier(time.Now().Add(watchAfter), a.Expires()))
	}
	return g, err
}
