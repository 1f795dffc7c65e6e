package zookeeper

import (
	"context"
	"errors"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// Acquire makes a claim for the attempt, a node under the key's, unless it has one. The first
// claim holds the lock. Each later one watches only the node directly before its own, so that the
// end of one grant wakes one waiter.
//
// Cancellation against success: the node belongs to the attempt, not to this call. If ctx ends
// first, the attempt stays as it is, and Release, or keepAlive after a TTL, removes what is
// there, also a node that is created later. If the grant was first under backend.mu (see grant), it
// is returned, whatever ctx says by then.
func (b *backend) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	if ctx.Err() != nil {
		return driver.Grant{}, context.Cause(ctx)
	}
	a, err := b.enter(ctx, req)
	if err != nil {
		return driver.Grant{}, err
	}
	defer b.leave(a)
	g, err := b.acquire(ctx, a, req)
	if err != nil {
		// An attempt that ended while we were busy with it has not failed by chance.
		if fate := b.fate(a); fate != nil && !errors.Is(err, driver.ErrHeld) && !errors.Is(err, errExpired) && ctx.Err() == nil {
			err = fate
		}
		return driver.Grant{}, classifySteps(ctx, err, b.untouched(a))
	}
	return g, nil
}

func (b *backend) acquire(ctx context.Context, a *attempt, req driver.Request) (driver.Grant, error) {
	if !req.Wait && b.untouched(a) {
		if busy, err := b.busy(ctx, a); err != nil || busy {
			return driver.Grant{}, heldOr(err)
		}
	}
	seen, err := b.ensureNode(ctx, a)
	if err != nil {
		return driver.Grant{}, err
	}
	for {
		var p position
		if seen != nil {
			p, seen = *seen, nil
		} else {
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
		a.session.wake()
		first, err := b.waitForPredecessor(ctx, a, p.predecessor.text, req.Waiting)
		switch {
		case err != nil:
			return driver.Grant{}, err
		case first:
			return b.grant(ctx, a)
		}
	}
}

func heldOr(err error) error {
	if err != nil {
		return err
	}
	return &driver.HeldError{}
}

// busy reports whether the key is held or waited for, before anything is written. A server that
// lags may still show what is gone, so a yes is checked once more after a sync. A no needs no
// check: the list that is read after the create decides.
func (b *backend) busy(ctx context.Context, a *attempt) (bool, error) {
	for fresh := false; ; fresh = true {
		children, err := ask(ctx, a.session, driver.RequestTimeout(a.TTL), func() ([]string, error) { return list(a.session.conn, a.parent) })
		if n := len(parseAll(children)); err != nil || n == 0 || fresh {
			return n > 0, err
		}
		if err := b.catchUp(ctx, a.session, driver.RequestTimeout(a.TTL)); err != nil {
			return false, err
		}
	}
}

// readPosition finds the claim in its queue, and proves that its node is there and of this
// session.
//
// Why is the list of a server that lags good enough? It has our own node in it, so it is at least
// as new as our create. Claims are in the order of their creation, so it has every claim that
// came before ours, unless that is gone for good. What it may miss is later: claims behind ours,
// and deletions before ours. So a claim that is the first in the list is the first. A claim that
// is not may wait for a node that is gone; it finds that out when it watches the node.
//
// If the attempt's token is known, the answer to the create, or an earlier look, has shown that
// the node is of our session. No other node has its name and number, so it is enough that the
// list has it. If the token is not known, the state of the node is asked for at the same time.
// Each of the two answers is true by itself, whichever is older.
func (b *backend) readPosition(ctx context.Context, a *attempt) (position, error) {
	node := a.node // it does not change once ensureNode has returned
	p, err := ask(ctx, a.session, driver.RequestTimeout(a.TTL), func() (position, error) { return b.readPositionNow(a, node) })
	return p, b.nodeGone(a, err)
}

func (b *backend) readPositionNow(a *attempt, node string) (position, error) {
	b.mu.Lock()
	proven := a.czxid != 0
	b.mu.Unlock()
	var proof *task
	if !proven {
		proof = b.start(func() error { return b.verifyNode(a, a.parent+"/"+node) })
	}
	children, err := list(a.session.conn, a.parent)
	if proof != nil {
		<-proof.done
		if err == nil {
			err = proof.err
		}
	}
	if err != nil {
		return position{}, err
	}
	me, _ := parseName(node)
	if me.beyond() {
		return b.readPositionBeyond(a, me, children)
	}
	return orNoNode(positionOf(parseAll(children), me))
}

func orNoNode(p position) (position, error) {
	if !p.inQueue {
		return position{}, zk.ErrNoNode
	}
	return p, nil
}

// verifyNode proves that the claim's node is there and of this session, and learns its token. A
// node of another session with our name goes when that session goes, so it is nothing to rely on
// (CURATOR-498).
func (b *backend) verifyNode(a *attempt, path string) error {
	st, err := stat(a.session.conn, path)
	if err != nil {
		return err
	}
	if st.EphemeralOwner != a.session.id {
		return zk.ErrNoNode
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	a.czxid = st.Czxid
	return nil
}

// nodeGone notes, if err says so, that the claim's node is gone.
func (b *backend) nodeGone(a *attempt, err error) error {
	if errors.Is(err, zk.ErrNoNode) {
		b.lose(a, errNodeGone)
		return errNoPosition
	}
	return err
}

// grant gives the lock to an attempt whose claim is the first of its queue. It stays the first,
// since all claims before it are gone for good. The lease begins when the session was last
// confirmed: with the create of the node, if the lock was free.
func (b *backend) grant(ctx context.Context, a *attempt) (driver.Grant, error) {
	s := a.session
	b.mu.Lock()
	stale := time.Since(s.confirmed) > a.lease()/3
	b.mu.Unlock()
	if stale {
		// We waited for long, and keepAlive could not confirm the session. The lease would be
		// short, or over.
		if err := s.barrier(ctx, driver.RequestTimeout(a.TTL)); err != nil {
			return driver.Grant{}, err
		}
	}
	if !s.alive() {
		return driver.Grant{}, errExpired
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	// Whatever ended the attempt until now was first: Release, the death of the session,
	// Close, an eviction, keepAlive. Whatever comes after this finds a grant.
	if b.closed {
		return driver.Grant{}, errClosed
	}
	g, err := b.ledger.Grant(a, fencing.Token(a.czxid), s.confirmed, a.lease())
	if err == nil && !a.first {
		a.first = true
		b.movedLocked(a)
		s.scheduleLocked(a, earlier(time.Now().Add(watchAfter), a.Expires()))
	}
	return g, err
}
