package zookeeper

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// queue is the node of a lock with the claims in it, as a session sees them. Its methods wait for
// the server, and know no context; those that have one begin a task.
type queue struct {
	session *session.Session
	path    string   // of the lock's node
	acl     []zk.ACL // of new nodes
}

// claims returns the claims, in no order.
func (q queue) claims() ([]nodeName, error) {
	children, err := session.List(q.session, q.path)
	return parseAll(children), err
}

// front is the first claim of a lock, and the number of claims.
type front struct {
	head  nodeName // none if all have left while we looked
	count int
}

func (q queue) front() (f front, err error) {
	claims, err := q.claims()
	if err != nil {
		return f, err
	}
	return frontOf(q.session, q.path, claims)
}

func frontOf(c session.Conn, parent string, queue []nodeName) (f front, err error) {
	f = front{first(queue), len(queue)}
	if f.head.beyond() { // and so are all
		queue, err = readCzxids(c, parent, queue, nodeName{})
		f.head = first(queue)
	}
	return f, err
}

// busy reports whether the key is held or waited for, before anything is written. A server that
// lags may still show what is gone, so a yes is checked once more after a sync. A no needs no
// check: the list that is read after the create decides.
func (q queue) busy(ctx context.Context, timeout time.Duration) (bool, error) {
	for fresh := false; ; fresh = true {
		claims, err := session.Ask(ctx, q.session, timeout, q.claims)
		if n := len(claims); err != nil || n == 0 || fresh {
			return n > 0, err
		}
		if err := q.session.CatchUp(ctx, timeout); err != nil {
			return false, err
		}
	}
}

// of returns an attempt's claims and the first of all, as new as the call.
func (q queue) of(ctx context.Context, attemptID string) (owned []nodeName, head nodeName, err error) {
	if err := q.session.CatchUp(ctx, releaseTimeout); err != nil {
		return nil, head, err
	}
	owned, err = session.Ask(ctx, q.session, releaseTimeout, func() ([]nodeName, error) {
		all, err := q.claims()
		if err != nil {
			return nil, err
		}
		f, err := frontOf(q.session, q.path, all)
		head = f.head
		return ownedBy(all, attemptID), err
	})
	return owned, head, err
}

// ownedBy returns an attempt's claims, in no order.
func ownedBy(claims []nodeName, attemptID string) []nodeName {
	return slices.DeleteFunc(claims, func(n nodeName) bool { return n.attemptID != attemptID })
}

// holder tells who holds the lock, and the number of claims. If the first claim is gone each time
// that its node is to be read, as in a lock that goes from hand to hand, sure is false, and only
// the attempt's ID is known. Only the holder knows what is left of its lease; Left is its TTL, the
// most that it can be.
func (q queue) holder() (h driver.Holder, count int, sure bool, err error) {
	for range maxLooks {
		f, err := q.front()
		if err != nil || f.count == 0 {
			return driver.Holder{}, 0, true, err
		}
		if f.head.text == "" {
			continue
		}
		h = driver.Holder{AttemptID: f.head.attemptID}
		data, st, err := q.session.Get(q.path + "/" + f.head.text)
		switch {
		case err == nil:
			h.Token = fencing.Token(st.Czxid)
			h.Left, h.Identity, h.Meta = parseRecord(data)
			return h, f.count, true, nil
		case !errors.Is(err, zk.ErrNoNode):
			return h, 0, false, err
		}
	}
	return h, 0, false, nil
}

// position finds a claim in its queue, and proves that its node is there and of this
// session. If its czxid is not 0 that is known, and of this session.
//
// Why is the list of a server that lags good enough? It has our own node in it, so it is at least
// as new as our create. Claims are in the order of their creation, so it has every claim that
// came before ours, unless that is gone for good. What it may miss is later: claims behind ours,
// and deletions before ours. So a claim that is the first in the list is the first. A claim that
// is not may wait for a node that is gone; it finds that out when it watches the node.
//
// If the claim's czxid is known, the answer to the create, or an earlier look, has shown that
// the node is of our session. No other node has its name and number, so it is enough that the
// list has it. If the czxid is not known, the state of the node is asked for at the same time.
// Each of the two answers is true by itself, whichever is older.
func (q queue) position(node string, czxid int64) (position, error) {
	var proof *session.Task
	if czxid == 0 {
		proof = q.session.Start(func() (err error) { czxid, err = q.verify(node); return err })
	}
	children, err := session.List(q.session, q.path)
	if proof != nil {
		if unproven := proof.Wait(); err == nil {
			err = unproven
		}
	}
	if err != nil {
		return position{}, err
	}
	me, _ := parseName(node)
	me.czxid = czxid
	if me.beyond() {
		return q.positionBeyond(me, children)
	}
	return orNoNode(positionOf(parseAll(children), me))
}

func orNoNode(p position) (position, error) {
	if !p.inQueue {
		return position{}, zk.ErrNoNode
	}
	return p, nil
}

// verify proves that a claim's node is there and of this session, and returns its czxid. A
// node of another session with our name goes when that session goes, so it is nothing to rely on
// (CURATOR-498).
func (q queue) verify(node string) (czxid int64, err error) {
	st, err := session.Stat(q.session, q.path+"/"+node)
	switch {
	case err != nil:
		return 0, err
	case !q.session.Owns(st):
		return 0, zk.ErrNoNode
	}
	return st.Czxid, nil
}

// handOffOps deletes the node of a holder, and tells the waiter behind it by a write to the node
// in the same transaction: see waitForPredecessor.
func handOffOps(path string) (ops []any) {
	r := &struct {
		tell   zk.SetDataRequest
		remove zk.DeleteRequest
		ops    [2]any
	}{
		tell:   zk.SetDataRequest{Path: path, Version: -1},
		remove: zk.DeleteRequest{Path: path, Version: -1},
	}
	r.ops = [2]any{&r.tell, &r.remove}
	return r.ops[:]
}

// handOff does so for the first claim of a queue. Beyond the range of the numbers nobody is told
// so that it is the first: see waitForPredecessor.
func (q queue) handOff(head nodeName) error {
	ops := handOffOps(q.path + "/" + head.text)
	if head.beyond() {
		ops = ops[1:]
	}
	_, err := q.session.Multi(ops...)
	if errors.Is(err, zk.ErrNoAuth) { // we may not write to the node; the waiter will list the queue
		_, err = q.session.Multi(ops[len(ops)-1])
	}
	return err
}
