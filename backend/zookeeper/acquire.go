package zookeeper

import (
	"context"
	"errors"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
)

// Acquire makes a node for the owner, unless it has one; whose node is the first
// under the key's has the lock. Who comes later watches the node right before its own,
// and nothing else, so that the end of one grant wakes one waiter.
//
// Cancellation against success: the node belongs to the claim, not to this call. If ctx
// ends first, the claim stays as it is, and Release, or the keeper after a TTL, removes
// what is there, also a node that is created later. If the grant was first under the
// lock (see hold), it is returned, whatever ctx says by then.
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
		// A claim that ended while we were busy with it has not failed by chance.
		if fate := b.endReason(a); fate != nil && !errors.Is(err, driver.ErrHeld) && ctx.Err() == nil {
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

// busy reports whether the key is held or waited for, before anything is written. A
// server that lags may still show what is gone, so a yes is asked for again behind
// what was committed until now. A no needs no such care: the list that is looked at
// after the create decides.
func (b *backend) busy(ctx context.Context, a *attempt) (bool, error) {
	for fresh := false; ; fresh = true {
		children, err := ask(ctx, a.session, driver.RequestTimeout(a.ttl), func() ([]string, error) { return list(a.session.conn, a.parent) })
		if n := len(parseAll(children)); err != nil || n == 0 || fresh {
			return n > 0, err
		}
		if err := b.catchUp(ctx, a.session, driver.RequestTimeout(a.ttl)); err != nil {
			return false, err
		}
	}
}

// look finds the claim in its queue, and proves that its node is there and of this
// session.
//
// Is a look at a server that lags good enough? The list has our own node in it, so it is
// at least as new as our create, and has every claim that came before, since they are in
// the order of their creation, unless it is gone for good. What it may
// miss is later: claims behind us, and deletions before us. So who is the first in it is
// the first; who is not may wait for a node that is gone, and then finds it gone when it
// watches it.
//
// A node whose token is known was seen to be of our session: by the answer to its create,
// or by a look. No other has its name and number, so it is enough that the list has it. Of
// one that is not, the node's own state is asked for at the same time, and each of the
// two answers is true by itself, whichever is older.
func (b *backend) readPosition(ctx context.Context, a *attempt) (position, error) {
	node := a.node // it does not change once place has returned
	p, err := ask(ctx, a.session, driver.RequestTimeout(a.ttl), func() (position, error) { return b.readPositionNow(a, node) })
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

// verify proves that the claim's node is there and of this session, and learns its
// token. A node of another session with our name goes when that session goes, so it
// is nothing to rely on (CURATOR-498).
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

// orphaned takes in that a claim's node is gone.
func (b *backend) nodeGone(a *attempt, err error) error {
	if errors.Is(err, zk.ErrNoNode) {
		b.lose(a, errNodeGone)
		return errNoPlace
	}
	return err
}

// hold grants the lock to a claim that is the first of its queue, and stays so: all
// before it are gone for good. The lease begins when the session was last confirmed:
// with the create of the node, for a lock that was free.
func (b *backend) grant(ctx context.Context, a *attempt) (driver.Grant, error) {
	s := a.session
	b.mu.Lock()
	stale := time.Since(s.confirmed) > a.lease()/3
	b.mu.Unlock()
	if stale {
		// We waited for long, and the keeper could not confirm. The lease would be
		// short, or over.
		if err := s.barrier(ctx, driver.RequestTimeout(a.ttl)); err != nil {
			return driver.Grant{}, err
		}
	}
	if !s.alive() {
		return driver.Grant{}, errExpired
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	// Whatever ended the claim until now was first: Release, the death of the session,
	// Close, an eviction, the keeper. What comes after this finds a grant.
	switch {
	case b.closed:
		return driver.Grant{}, errClosed
	case a.phase >= leaving:
		return driver.Grant{}, b.endReasonLocked(a)
	}
	a.start = s.confirmed // it never goes back
	if a.phase != held {
		s.moveLocked(a, held)
		a.granted = true
		s.scheduleLocked(a, earlier(time.Now().Add(watchAfter), a.ends()))
	}
	return a.grantLocked(), nil
}
