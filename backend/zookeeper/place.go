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
func (b *backend) place(ctx context.Context, c *claim) (seen *line, err error) {
	b.mu.Lock()
	switch {
	case c.phase >= leaving:
		err := b.fateLocked(c)
		b.mu.Unlock()
		return nil, err
	case c.node != "":
		b.mu.Unlock()
		return nil, nil
	}
	first := make(chan *line, 1)
	if c.placing == nil {
		c.placing = b.startLocked(func() error { return b.createNode(c, first) })
	}
	t := c.placing
	b.mu.Unlock()
	if err := c.session.await(ctx, t, driver.RequestTimeout(c.ttl)); err != nil {
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
func (b *backend) createNode(c *claim, first chan<- *line) error {
	node, seen, err := b.findOrCreate(c)
	if err == nil && seen == nil {
		if l, err := b.lookNow(c, node); err == nil {
			seen = &l
		}
	}
	if seen != nil {
		first <- seen
	}
	if c.session.link == nil && !c.session.alive() {
		b.exorcise(c)
		err = errExpired
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c.placing = nil
	if b.closed && c.session.link == nil && (err == nil || c.sent) {
		// Close may have looked at the claims before: see bequeath.
		time.AfterFunc(0, func() { c.session.deleteLate(c, node) })
	}
	if err != nil {
		return err
	}
	c.node, c.sent = node, false
	b.enterParentLocked(c, false)
	c.session.moveLocked(c, waiting)
	if c.callers == 0 && c.phase == waiting {
		c.quiet = time.Now()
		c.session.scheduleLocked(c, c.quiet.Add(c.lease()))
	}
	return nil
}

func (b *backend) findOrCreate(c *claim) (node string, seen *line, err error) {
	b.mu.Lock()
	unknown := c.sent
	b.mu.Unlock()
	if unknown {
		if node, err = b.find(c); err != nil || node != "" {
			return node, nil, err
		}
	}
	// Whoever has used the parent deletes it when it is idle, and so does the server; each of
	// them may just when we have made it again. It takes as long as it takes, not a number of
	// tries, up to when nobody waits for it any more.
	for began := time.Now(); ; {
		b.mu.Lock()
		c.sent = true
		b.mu.Unlock()
		node, seen, err := b.create(c)
		if err == nil || !answered(err) {
			return node, seen, err
		}
		b.mu.Lock()
		c.sent = false
		b.mu.Unlock()
		if !errors.Is(err, zk.ErrNoNode) {
			return "", nil, err
		}
		if time.Since(began) > driver.RequestTimeout(c.ttl) {
			return "", nil, errNoPlace
		}
		if err := b.makeParent(c.session, c.parent); err != nil {
			return "", nil, err
		}
		b.mu.Lock()
		b.enterParentLocked(c, true)
		b.mu.Unlock()
	}
}
