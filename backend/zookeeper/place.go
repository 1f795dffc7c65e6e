package zookeeper

import (
	"context"
	"errors"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
)

// place gives a claim its node. However many call it, however often, there is one
// create at a time, which is seen to its end although nobody may wait for it any more.
// Who has it done gets the first look at the queue, too, since a goroutine less has to
// wake up so.
func (b *backend) ensureNode(ctx context.Context, a *attempt) (seen *position, err error) {
	b.mu.Lock()
	switch {
	case a.phase >= leaving:
		err := b.endReasonLocked(a)
		b.mu.Unlock()
		return nil, err
	case a.node != "":
		b.mu.Unlock()
		return nil, nil
	}
	first := make(chan *position, 1)
	if a.creating == nil {
		a.creating = b.startLocked(func() error { return b.createNode(a, first) })
	}
	t := a.creating
	b.mu.Unlock()
	if err := a.session.await(ctx, t, driver.RequestTimeout(a.ttl)); err != nil {
		return nil, err
	}
	select {
	case seen = <-first:
	default: // another has it
	}
	return seen, nil
}

// createNode is the task of place.
//
// Create against release: the claim is marked first, under the lock. If the release
// was first, a node that is created after all is found by the removal, which waits for
// this task. If the create was first, the removal finds the node's name.
func (b *backend) createNode(a *attempt, first chan<- *position) error {
	node, seen, err := b.findOrCreate(a)
	if err == nil && seen == nil {
		if p, err := b.readPositionNow(a, node); err == nil {
			seen = &p
		}
	}
	if seen != nil {
		first <- seen
	}
	if a.session.link == nil && !a.session.alive() {
		b.deleteStrayNodes(a)
		err = errExpired
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	a.creating = nil
	if b.closed && a.session.link == nil && (err == nil || a.sent) {
		// Close may have looked at the claims before: see deleteAfterClose.
		time.AfterFunc(0, func() { a.session.deleteLate(a, node) })
	}
	if err != nil {
		return err
	}
	a.node, a.sent = node, false
	b.enterParentLocked(a, false)
	a.session.moveLocked(a, waiting)
	if a.callers == 0 && a.phase == waiting {
		a.idleSince = time.Now()
		a.session.scheduleLocked(a, a.idleSince.Add(a.lease()))
	}
	return nil
}

func (b *backend) findOrCreate(a *attempt) (node string, seen *position, err error) {
	b.mu.Lock()
	unknown := a.sent
	b.mu.Unlock()
	if unknown {
		if node, err = b.find(a); err != nil || node != "" {
			return node, nil, err
		}
	}
	// Whoever has used the parent deletes it when it is idle, and so does the server; each of
	// them may just when we have made it again. It takes as long as it takes, not a number of
	// tries, up to when nobody waits for it any more.
	for began := time.Now(); ; {
		b.mu.Lock()
		a.sent = true
		b.mu.Unlock()
		node, seen, err := b.create(a)
		if err == nil || !answered(err) {
			return node, seen, err
		}
		b.mu.Lock()
		a.sent = false
		b.mu.Unlock()
		if !errors.Is(err, zk.ErrNoNode) {
			return "", nil, err
		}
		if time.Since(began) > driver.RequestTimeout(a.ttl) {
			return "", nil, errNoPlace
		}
		if err := b.makeParent(a.session, a.parent); err != nil {
			return "", nil, err
		}
		b.mu.Lock()
		b.enterParentLocked(a, true)
		b.mu.Unlock()
	}
}
