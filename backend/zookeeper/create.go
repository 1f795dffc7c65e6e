package zookeeper

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// ensureNode gives an attempt its claim, a node. However many callers there are, and however
// often they call, there is one create at a time. It goes on to its end although nobody may wait
// for it any more. The caller that begins it gets the first look at the queue, too, which saves
// waking up one more goroutine.
func (b *backend) ensureNode(ctx context.Context, a *attempt) (seen *position, err error) {
	b.mu.Lock()
	switch {
	case a.Phase() >= attempts.Ending:
		err := a.Err()
		b.mu.Unlock()
		return nil, err
	case a.node != "":
		b.mu.Unlock()
		return nil, nil
	}
	first := make(chan *position, 1)
	if a.creating == nil {
		unknown := a.Sent // an earlier create may have been carried out
		a.Sent = true
		a.creating = b.startLocked(func() error { return b.createNode(a, unknown, first) })
	}
	t := a.creating
	b.mu.Unlock()
	if err := a.session.await(ctx, t, driver.RequestTimeout(a.TTL)); err != nil {
		return nil, err
	}
	select {
	case seen = <-first:
	default: // another caller has it
	}
	return seen, nil
}

// createNode is the task of ensureNode.
//
// Create against release: the attempt is marked first, under backend.mu. If the release was first,
// the removal, which waits for this task, finds a node that is created after all. If the create
// was first, the removal finds the node's name.
func (b *backend) createNode(a *attempt, unknown bool, first chan<- *position) error {
	node, seen, nothing, err := b.findOrCreate(a, unknown)
	if err == nil && seen == nil {
		if p, err := b.readPositionNow(a, node); err == nil {
			seen = &p
		}
	}
	if seen != nil {
		first <- seen
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	a.creating = nil
	switch {
	case err == nil:
		b.queueLocked(a, node)
	case nothing:
		a.Sent = false
		if a.Phase() == attempts.Asking && a.Calls() == 0 { // whoever would release it has left
			b.forgetLocked(a)
		}
	}
	return err
}

// findOrCreate makes sure that an attempt has a node. If it has none, nothing says whether that is certain.
func (b *backend) findOrCreate(a *attempt, unknown bool) (node string, seen *position, nothing bool, err error) {
	if unknown {
		if node, err = b.find(a); err != nil || node != "" {
			return node, nil, false, err
		}
	}
	// Clients that have used the parent delete it when it is idle, and so does the server; each
	// of them may do so just when we have made it again. So the time bounds this, not a number of
	// tries: after it nobody waits any more.
	for began := time.Now(); ; {
		node, seen, err := b.create(a)
		switch {
		case !errors.Is(err, zk.ErrNoNode):
			return node, seen, answered(err), err
		case time.Since(began) > driver.RequestTimeout(a.TTL):
			return "", nil, true, errNoPosition
		}
		if err := b.makeParent(a.session, a.parent); err != nil {
			return "", nil, true, err
		}
		b.mu.Lock()
		b.enterParentLocked(a, true)
		b.mu.Unlock()
	}
}

// create makes the node of a claim. If the answer has all that is needed, it is the first look at
// the queue, too, so that a lock that is free costs one request.
//
// The transaction also sets the data of the lock's node, which has none, to none. The answer to
// that is the state of the lock's node at this very moment in the order of all transactions. Its
// mzxid is the number of the transaction, which is the czxid of the new node, the token. If it
// has one child, that child is ours. Then all claims that came before are gone for good, and
// others will come behind: we are the first, whatever our number is. A list could not prove it
// better. (Where numbers do not tell the order, there is more to look at: see guardName.) The
// node is of our session, since the answer came to our session: one that had ended would have
// been refused.
//
// A client that may not write to the lock's node looks at the list and the node after the create.
func (b *backend) create(a *attempt) (node string, seen *position, err error) {
	p := &part{lock: a.parent, separate: !b.parents.has(a.parent), ops: []any{
		&zk.CreateRequest{
			Path: a.parent + "/" + a.AttemptID + "#+", Data: record(a.lease(), a.meta), Acl: b.config.acl, Flags: zk.FlagEphemeralSequential,
		},
		&zk.SetDataRequest{Path: a.parent, Version: -1},
	}}
	unwritable := b.unwritable.Load()
	if unwritable {
		p.ops = p.ops[:1]
	}
	answer, err := a.session.batch.commit(p)
	if errors.Is(err, zk.ErrNoAuth) && !unwritable {
		// It was refused, so nothing was done. Is it the write that is not allowed?
		p.ops, p.separate, unwritable = p.ops[:1], true, true
		if answer, err = a.session.batch.commit(p); err == nil {
			b.unwritable.Store(true)
		}
	}
	if err != nil {
		return "", nil, err
	}
	path := answer[0].String
	node = path[strings.LastIndexByte(path, '/')+1:]
	if unwritable {
		return node, nil, nil
	}
	parent := answer[1].Stat
	b.mu.Lock()
	a.czxid = parent.Mzxid
	b.mu.Unlock()
	if parent.NumChildren == 1 && !beyond(node) {
		seen = &position{inQueue: true}
	}
	return node, seen, nil
}

// find looks for a node of the attempt whose create was not answered. "" says that there is none
// and that none will come: see barriers. Connections that break between create and list are how
// locks that nobody holds come about (samuel/go-zookeeper#229).
func (b *backend) find(a *attempt) (string, error) {
	s := a.session
	if err := s.barrier(b.closing, driver.RequestTimeout(a.TTL)); err != nil {
		return "", err
	}
	children, err := list(s.conn, a.parent)
	if err != nil {
		return "", err
	}
	for _, n := range owned(children, a.AttemptID) {
		switch err := b.verifyNode(a, a.parent+"/"+n.text); {
		case err == nil:
			return n.text, nil
		case !errors.Is(err, zk.ErrNoNode): // otherwise it is of a session that is dying, or dead
			return "", err
		}
	}
	return "", nil
}
