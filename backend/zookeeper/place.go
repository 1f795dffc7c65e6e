package zookeeper

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"
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
	if err := c.session.await(ctx, t, requestTimeout(c.ttl)); err != nil {
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
	node, err := b.findOrCreate(c)
	if err == nil {
		if l, err := b.lookNow(c, node); err == nil {
			first <- &l
		}
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
	c.session.moveLocked(c, waiting)
	if c.callers == 0 && c.phase == waiting {
		c.quiet = time.Now()
		c.session.scheduleLocked(c, c.quiet.Add(c.lease()))
	}
	return nil
}

func (b *backend) findOrCreate(c *claim) (node string, err error) {
	b.mu.Lock()
	unknown := c.sent
	b.mu.Unlock()
	if unknown {
		if node, err = b.find(c); err != nil || node != "" {
			return node, err
		}
	}
	s := c.session
	for range 5 { // the parent may be deleted again, but not for ever
		b.mu.Lock()
		c.sent = true
		b.mu.Unlock()
		sent := time.Now()
		path, err := s.conn.Create(c.parent+"/"+c.owner+"#", record(c.lease(), c.meta), zk.FlagEphemeralSequential, b.config.acl)
		if err == nil {
			s.confirm(sent)
			return path[strings.LastIndexByte(path, '/')+1:], nil
		}
		if !answered(err) {
			return "", err
		}
		b.mu.Lock()
		c.sent = false
		b.mu.Unlock()
		if !errors.Is(err, zk.ErrNoNode) {
			return "", err
		}
		if err := b.makeParent(s, c.parent); err != nil {
			return "", err
		}
	}
	return "", errNoPlace
}

// find looks for a node of the claim whose create was not answered. "" says that
// there is none and will be none: see barriers. A connection that breaks between
// create and list is how locks that nobody holds come about (samuel/go-zookeeper#229).
func (b *backend) find(c *claim) (string, error) {
	s := c.session
	if err := s.barrier(b.closing, requestTimeout(c.ttl)); err != nil {
		return "", err
	}
	children, err := list(s.conn, c.parent)
	if err != nil {
		return "", err
	}
	for _, n := range owned(children, c.owner) {
		switch err := b.verify(c, c.parent+"/"+n.text); {
		case err == nil:
			return n.text, nil
		case !errors.Is(err, zk.ErrNoNode): // else it is of a session that is dying, or dead
			return "", err
		}
	}
	return "", nil
}

// exorcise deletes the nodes of a claim whose session has expired on an application's
// connection. That goes on with another session, and carries out there what was still
// queued: a create too, whose node would then live for as long as the application does.
func (b *backend) exorcise(c *claim) {
	conn := c.session.conn
	for {
		_, err := conn.Sync(b.root)
		var children []string
		if err == nil {
			children, err = list(conn, c.parent)
		}
		for _, n := range owned(children, c.owner) {
			if e := conn.Delete(c.parent+"/"+n.text, -1); e != nil && !errors.Is(e, zk.ErrNoNode) {
				err = e
			}
		}
		if err == nil || lastingFault(err) {
			return
		}
		select {
		case <-time.After(again):
		case <-b.closing.Done():
			return
		}
	}
}
