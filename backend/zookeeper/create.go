package zookeeper

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// claims makes and deletes the nodes of attempts.
type claims struct {
	registry
	pool       *session.Pool
	root       string // the namespace's node
	acl        []zk.ACL
	unwritable atomic.Bool // we may not write to the locks' nodes
}

// made is a node that was made for an attempt.
type made struct {
	claim string // its path
	czxid int64  // 0: not known
	first bool   // it is known to be the first of its queue
}

// alone is the position of the only claim of a lock. Nobody writes to it.
var alone = position{inQueue: true}

// ensureNode gives an attempt its claim, a node. However many callers there are, and however
// often they call, there is one create at a time. It goes on to its end although nobody may wait
// for it any more. The first caller after it gets the look at the queue that came with it.
func (c *claims) ensureNode(ctx context.Context, a *attempt) (p position, seen bool, err error) {
	c.mu.Lock()
	switch {
	case a.Phase() >= attempts.Ending:
		defer c.mu.Unlock()
		return p, false, a.Err()
	case a.claim != "":
		c.mu.Unlock()
		return p, false, nil
	}
	if a.creating == nil {
		unknown := a.Sent // an earlier create may have been carried out
		a.Sent, a.look = true, nil
		t, ok := c.pool.Begin()
		if a.creating = t; ok {
			go func() { t.End(c.createNode(a, unknown)) }()
		}
	}
	t := a.creating
	c.mu.Unlock()
	if err := a.session.Await(ctx, t, a.timeout()); err != nil {
		return p, false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.look == nil { // the queue could not be seen, or another caller has it
		return p, false, nil
	}
	p, a.look = *a.look, nil
	return p, true, nil
}

// createNode is the task of ensureNode.
//
// Create against release: the attempt is marked first, under mu. If the release was first,
// the removal, which waits for this task, finds a node that is created after all. If the create
// was first, the removal finds the node's name.
func (c *claims) createNode(a *attempt, unknown bool) error {
	m, nothing, err := c.findOrCreate(a, unknown)
	var look *position
	switch {
	case err != nil:
	case m.first:
		look = &alone
	default:
		if p, unseen := a.position(nameIn(m.claim), m.czxid); unseen == nil {
			m.czxid, look = max(m.czxid, p.czxid), &p
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	a.creating = nil
	switch {
	case err == nil:
		a.claim, a.czxid, a.look = m.claim, m.czxid, look
		if m.first {
			a.alone = time.Now()
		}
		c.enterParentLocked(a, false)
	case nothing:
		a.Sent = false
		if a.Phase() == attempts.Asking && a.Calls() == 0 { // nobody would have it released
			c.forgetLocked(a)
		}
	}
	return err
}

// findOrCreate makes sure that an attempt has a node. If it fails, nothing says whether it is
// certain that there is none.
func (c *claims) findOrCreate(a *attempt, unknown bool) (m made, nothing bool, err error) {
	if unknown {
		if m, err = c.find(a); err != nil || m.claim != "" {
			return m, false, err
		}
	}
	// Clients that have used the parent delete it when it is idle, and so does the server; each
	// of them may do so just when we have made it again. So the time bounds this, not a number of
	// tries: after it nobody waits any more.
	for began := time.Now(); ; {
		m, err := c.create(a)
		switch {
		case !errors.Is(err, zk.ErrNoNode):
			return m, session.Answered(err), err
		case time.Since(began) > a.timeout():
			return m, true, errNoPosition
		}
		if err := c.nodes.make(a.session, a.path); err != nil {
			return m, true, err
		}
		c.mu.Lock()
		c.enterParentLocked(a, true)
		c.mu.Unlock()
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
func (c *claims) create(a *attempt) (m made, err error) {
	ops := claimOps(a.path, a.AttemptID, record(a.lease(), a.meta), c.acl)
	unwritable := c.unwritable.Load()
	if unwritable {
		ops = ops[:1]
	}
	var answer []zk.MultiResponse
	if c.nodes.has(a.path) {
		answer, err = a.session.Batch.Do(c.pool.Closing, a.path, ops)
	} else { // the server may well refuse it: it goes by itself, at once
		answer, err = a.session.Transact(ops)
	}
	if errors.Is(err, zk.ErrNoAuth) && !unwritable {
		// It was refused, so nothing was done. Is it the write that is not allowed?
		unwritable = true
		if answer, err = a.session.Transact(ops[:1]); err == nil {
			c.unwritable.Store(true)
		}
	}
	if err != nil {
		return m, err
	}
	m.claim = answer[0].String
	if !unwritable {
		parent := answer[1].Stat
		m.czxid, m.first = parent.Mzxid, parent.NumChildren == 1 && !beyond(nameIn(m.claim))
	}
	return m, nil
}

// claimOps makes a claim's node, and asks for the state of the lock's node by a write to it.
func claimOps(path, attemptID string, data []byte, acl []zk.ACL) (ops []any) {
	r := &struct {
		make  zk.CreateRequest
		write zk.SetDataRequest
		ops   [2]any
	}{
		make:  zk.CreateRequest{Path: path + "/" + attemptID + "#+", Data: data, Acl: acl, Flags: zk.FlagEphemeralSequential},
		write: zk.SetDataRequest{Path: path, Version: -1},
	}
	r.ops = [2]any{&r.make, &r.write}
	return r.ops[:]
}

// find looks for a node of the attempt whose create was not answered. None says that there is none
// and that none will come: see Session.Barrier. Connections that break between create and list are how
// locks that nobody holds come about (samuel/go-zookeeper#229).
func (c *claims) find(a *attempt) (m made, err error) {
	if err := a.session.Barrier(c.pool.Closing, a.timeout()); err != nil {
		return m, err
	}
	all, err := a.claims()
	if err != nil {
		return m, err
	}
	for _, n := range ownedBy(all, a.AttemptID) {
		switch czxid, err := a.verify(n.text); {
		case err == nil:
			return made{claim: a.path + "/" + n.text, czxid: czxid}, nil
		case !errors.Is(err, zk.ErrNoNode): // otherwise it is of a session that is dying, or dead
			return m, err
		}
	}
	return m, nil
}

// enterOn enters the attempt of a request, on the session for its TTL.
func (c *claims) enterOn(ctx context.Context, req driver.Request) (*attempt, error) {
	if a, err := c.enter(req, nil); a != nil || err != nil {
		return a, err
	}
	s, err := c.pool.For(ctx, req.TTL)
	if err != nil {
		return nil, err
	}
	// Opening a session takes time. Another call of this attempt, or Release, may have come first.
	return c.enter(req, &attempt{
		queue: c.queueOf(s, req.Key), meta: driver.JoinIdentity(req.Identity, req.Meta), leases: s.Keeper().(*leases), index: -1,
	})
}

// queueOf is the queue of a key.
func (c *claims) queueOf(s *session.Session, key string) queue {
	return queue{session: s, path: c.root + "/" + escape(key), acl: c.acl}
}
