package zookeeper

import (
	"context"
	"errors"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// releaseTimeout bounds a Release of a grant whose TTL is not known.
const releaseTimeout = 3 * time.Second

// Release ends an attempt: its grant, or its position in the queue.
func (b *backend) Release(ctx context.Context, g driver.Grant) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return errClosed
	}
	// Whether a request is late makes no difference: one whose node is not known is looked for, see find.
	a, _ := b.ledger.Release(g)
	if a == nil {
		b.mu.Unlock()
		return classify(ctx, b.releaseUnknown(ctx, g))
	}
	b.movedLocked(a)
	told := a.told // an earlier Release has ended it; another may just be doing so, and then both do
	b.mu.Unlock()
	timeout := releaseTimeout
	if g.TTL > 0 {
		timeout = driver.RequestTimeout(g.TTL)
	}
	err := b.awaitRemoval(ctx, a, timeout)
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil && a.ReleaseEndsGrant() && !told:
		a.told = true
		return nil
	case err == nil || errors.Is(err, zk.ErrNoNode) || !a.session.alive():
		return driver.ErrNotHeld
	default:
		return classifySteps(ctx, err, !a.deleting) // an earlier deletion may have been carried out
	}
}

// awaitRemoval waits until nothing of an attempt that is leaving is on the server. If the answer
// to a deletion was lost, it begins the next one, since only this backend can tell what the
// answer to that one means.
func (b *backend) awaitRemoval(ctx context.Context, a *attempt, timeout time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errNoAnswer)
	defer cancel()
	for {
		b.mu.Lock()
		if a.Phase() == attempts.Gone {
			defer b.mu.Unlock()
			if a.removed {
				return nil
			}
			return zk.ErrNoNode
		}
		t := b.removeLocked(a)
		b.mu.Unlock()
		err := a.session.await(ctx, t, timeout)
		if err == nil || answered(err) || ctx.Err() != nil || !a.session.alive() {
			return err
		}
		select {
		case <-time.After(minRedial): // the next one needs a new connection
		case <-b.closing.Done():
			return errClosed
		case <-ctx.Done():
			return err
		}
	}
}

// releaseUnknown ends an attempt that this backend does not know: one of another client, and
// mostly of none at all. An attempt of our own that is not known has nothing on the server (see
// attempt). If a call of it has not got so far yet, its tombstone keeps it out already.
func (b *backend) releaseUnknown(ctx context.Context, g driver.Grant) error {
	for tries := 1; ; tries++ {
		s, err := b.adminSession(ctx)
		if err != nil {
			return err
		}
		found, err := b.ownedBy(ctx, s, g)
		if err != nil && !s.alive() && tries < 3 {
			continue // the session that asked has ended, as others may when the attempt's has: another asks
		}
		if err != nil {
			return err
		}
		return b.deleteOwned(ctx, s, found)
	}
}

// ownedNodes are the nodes of one attempt in the queue of a lock.
type ownedNodes struct {
	parent string
	nodes  []nodeName
	head   nodeName // the first of the queue, of any attempt
}

func (b *backend) ownedBy(ctx context.Context, s *session, g driver.Grant) (ownedNodes, error) {
	if err := b.catchUp(ctx, s, releaseTimeout); err != nil {
		return ownedNodes{}, err
	}
	parent := b.parentOf(g.Key)
	return ask(ctx, s, releaseTimeout, func() (ownedNodes, error) {
		children, err := list(s.conn, parent)
		if err != nil {
			return ownedNodes{}, err
		}
		f, err := frontOf(s.conn, parent, parseAll(children))
		return ownedNodes{parent, owned(children, g.AttemptID), f.head}, err
	})
}

// deleteOwned deletes nodes. It returns nil if that ended a grant.
func (b *backend) deleteOwned(ctx context.Context, s *session, p ownedNodes) error {
	result := driver.ErrNotHeld
	for _, n := range p.nodes {
		remove := func() error { return s.conn.Delete(p.parent+"/"+n.text, -1) }
		isHead := n.text == p.head.text
		if isHead { // it can be the first in the list only if all before it are gone: see readPosition
			remove = func() error { return s.handOff(p.parent, n) }
		}
		err := s.await(ctx, b.start(remove), releaseTimeout)
		switch {
		case err == nil:
			b.start(func() error { b.tidyParent(s, p.parent, n); return nil })
			if isHead {
				result = nil
			}
		case !errors.Is(err, zk.ErrNoNode):
			return err
		}
	}
	return result
}

// leaveQueue removes a position in the queue that the caller does not wait for.
func (b *backend) leaveQueue(ctx context.Context, a *attempt) error {
	b.mu.Lock()
	b.endLocked(a)
	b.mu.Unlock()
	if err := b.awaitRemoval(ctx, a, driver.RequestTimeout(a.TTL)); err != nil && !errors.Is(err, zk.ErrNoNode) {
		return err
	}
	return nil
}

// removeLocked begins to delete the node of an attempt that is leaving, or joins the deletion
// that is under way. If it fails, keepAlive tries again until the server has confirmed it, or the
// session is dead. Otherwise the node would be there for as long as the process lives. Call with
// mu held.
func (b *backend) removeLocked(a *attempt) *task {
	if a.removing == nil {
		placing := a.creating
		a.removing = b.startLocked(func() error { return b.removeNode(a, placing) })
	}
	return a.removing
}

// removeNode is the task of removeLocked. It returns nil if it deleted a node, and zk.ErrNoNode
// if there was none.
func (b *backend) removeNode(a *attempt, placing *task) error {
	if placing != nil {
		<-placing.done
	}
	err := b.deleteNode(a)
	b.mu.Lock()
	defer b.mu.Unlock()
	a.removing = nil
	if errors.Is(err, zk.ErrNoNode) && a.deleting {
		// An earlier deletion of ours was not answered, and now the node is gone: the
		// deletion was carried out. Or an eviction came between the two, or right before; but
		// the grant was not known to be lost when it was released, and then it makes no
		// difference to its holder which of the two was a moment earlier.
		err = nil
	}
	if err == nil || errors.Is(err, zk.ErrNoNode) {
		a.removed = a.removed || err == nil
		b.forgetLocked(a)
		return err
	}
	if a.Phase() != attempts.Gone {
		a.tries++
		pause := min(10*time.Millisecond<<min(a.tries, 10), time.Second)
		if isLasting(err) {
			pause = refusedAgain
		}
		a.session.scheduleLocked(a, time.Now().Add(pause))
	}
	return err
}

// refusedAgain is the pause before keepAlive tries again to delete a node that it was not allowed
// to delete. Nothing else ends that node while the process lives, so keepAlive tries again in
// case somebody has changed that.
const refusedAgain = time.Minute

func (b *backend) deleteNode(a *attempt) error {
	s := a.session
	b.mu.Lock()
	node, unknown, handOff := a.node, a.Sent, a.first
	b.mu.Unlock()
	if node == "" && !unknown {
		return zk.ErrNoNode
	}
	if node == "" {
		var err error
		if node, err = b.find(a); err != nil {
			return err
		}
		if node == "" {
			return zk.ErrNoNode
		}
	}
	me, _ := parseName(node)
	handOff = handOff && !me.beyond()
	ops := handOffOps(a.parent + "/" + node)
	if !handOff {
		ops = ops[1:]
	}
	_, err := s.batch.commit(&part{ops: ops})
	if handOff && errors.Is(err, zk.ErrNoAuth) { // we may not write to the node; the waiter will list the queue
		_, err = s.batch.commit(&part{ops: ops[1:]})
	}
	switch {
	case err == nil:
		b.tidyParent(s, a.parent, me)
	case !answered(err):
		b.mu.Lock()
		a.deleting = true
		b.mu.Unlock()
	}
	return err
}

// handOffOps deletes the node of a holder, and tells the waiter behind it by a write to the node
// in the same transaction: see waitForPredecessor.
func handOffOps(path string) (ops []any) {
	return []any{
		&zk.SetDataRequest{Path: path, Version: -1},
		&zk.DeleteRequest{Path: path, Version: -1},
	}
}

// handOff does so for the first claim of a queue. Beyond the range of the numbers nobody is told
// so that it is the first: see waitForPredecessor.
func (s *session) handOff(parent string, head nodeName) error {
	ops := handOffOps(parent + "/" + head.text)
	if head.beyond() {
		ops = ops[1:]
	}
	_, err := s.conn.Multi(ops...)
	if errors.Is(err, zk.ErrNoAuth) { // we may not write to the node; the waiter will list the queue
		_, err = s.conn.Multi(ops[len(ops)-1])
	}
	return err
}
