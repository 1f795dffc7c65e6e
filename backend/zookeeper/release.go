package zookeeper

import (
	"context"
	"errors"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
)

// releaseTimeout bounds a Release of which no TTL is known.
const releaseTimeout = 3 * time.Second

// Release ends a claim.
func (b *backend) Release(ctx context.Context, g driver.Grant) error {
	id := claimID{g.Key, g.AttemptID}
	b.mu.Lock()
	c := b.claims[id]
	switch {
	case b.closed:
		b.mu.Unlock()
		return errClosed
	case c == nil:
		b.released.Add(id)
		b.mu.Unlock()
		return fault(ctx, b.releaseUnknown(ctx, g))
	}
	// An earlier Release may have had no answer yet. A lease that ran out before any is
	// lost.
	wasHeld := c.phase == held || c.phase == leaving && c.granted && c.released
	c.released = true
	if !wasHeld || c.late || c.callers > 0 {
		c.late = true
		b.released.Add(id)
	}
	c.session.moveLocked(c, leaving)
	b.mu.Unlock()

	timeout := releaseTimeout
	if g.TTL > 0 {
		timeout = driver.RequestTimeout(g.TTL)
	}
	switch err := b.removed(ctx, c, timeout); {
	case err == nil && wasHeld:
		return nil
	case err == nil || errors.Is(err, zk.ErrNoNode) || !c.session.alive():
		return driver.ErrNotHeld
	default:
		b.mu.Lock()
		unknown := c.deleting // an earlier deletion may have been carried out
		b.mu.Unlock()
		return sortFault(ctx, err, !unknown)
	}
}

// removed waits until nothing of a claim that is leaving is on the server. An attempt
// whose answer was lost is followed by the next, since nobody but us can tell what the
// answer to that one means.
func (b *backend) removed(ctx context.Context, c *claim, timeout time.Duration) error {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, errNoAnswer)
	defer cancel()
	for {
		b.mu.Lock()
		t := b.removeLocked(c)
		b.mu.Unlock()
		err := c.session.await(ctx, t, timeout)
		if err == nil || answered(err) || ctx.Err() != nil || !c.session.alive() {
			return err
		}
		select {
		case <-time.After(redial): // it takes a new connection
		case <-b.closing.Done():
			return errClosed
		case <-ctx.Done():
			return err
		}
	}
}

// releaseUnknown ends a claim that this backend has none of: of another client, as a
// rule of no client at all. An attempt of our own that has no claim has nothing on the
// server (see claim); if a call of it has not got so far yet, it is kept out already.
func (b *backend) releaseUnknown(ctx context.Context, g driver.Grant) error {
	for tries := 1; ; tries++ {
		s, err := b.adminSession(ctx)
		if err != nil {
			return err
		}
		found, err := b.ownedBy(ctx, s, g)
		if err != nil && !s.alive() && tries < 3 {
			continue // the session that asked has ended, as others may where the claim's has: another asks
		}
		if err != nil {
			return err
		}
		return b.removeAll(ctx, s, found)
	}
}

// places are the nodes of one owner in the queue of a lock.
type places struct {
	parent string
	nodes  []nodeName
	head   nodeName // the first of the queue, of whomever
}

func (b *backend) ownedBy(ctx context.Context, s *session, g driver.Grant) (places, error) {
	if err := b.catchUp(ctx, s, releaseTimeout); err != nil {
		return places{}, err
	}
	parent := b.parentOf(g.Key)
	return ask(ctx, s, releaseTimeout, func() (places, error) {
		children, err := list(s.conn, parent)
		if err != nil {
			return places{}, err
		}
		f, err := frontOf(s.conn, parent, parseAll(children))
		return places{parent, owned(children, g.AttemptID), f.head}, err
	})
}

// removeAll deletes nodes. It returns nil if that ended a grant.
func (b *backend) removeAll(ctx context.Context, s *session, p places) error {
	result := driver.ErrNotHeld
	for _, n := range p.nodes {
		remove := func() error { return s.conn.Delete(p.parent+"/"+n.text, -1) }
		isHead := n.text == p.head.text
		if isHead { // it may be the first in the list only if all before it are gone: see look
			remove = func() error { return s.handOn(p.parent, n) }
		}
		err := s.await(ctx, b.start(remove), releaseTimeout)
		switch {
		case err == nil:
			b.start(func() error { b.tidy(s, p.parent, n); return nil })
			if isHead {
				result = nil
			}
		case !errors.Is(err, zk.ErrNoNode):
			return err
		}
	}
	return result
}

// giveUp removes a place in the queue that is not waited for.
func (b *backend) giveUp(ctx context.Context, c *claim) error {
	b.mu.Lock()
	c.session.moveLocked(c, leaving)
	b.mu.Unlock()
	if err := b.removed(ctx, c, driver.RequestTimeout(c.ttl)); err != nil && !errors.Is(err, zk.ErrNoNode) {
		return err
	}
	return nil
}

// removeLocked begins to delete the node of a claim that is leaving, or joins who
// does. If it fails, the keeper tries again until the server has confirmed, or the
// session is dead: otherwise the node would be there for as long as the process lives.
// Call with mu held.
func (b *backend) removeLocked(c *claim) *task {
	if c.removing == nil {
		placing := c.placing
		c.removing = b.startLocked(func() error { return b.removeNode(c, placing) })
	}
	return c.removing
}

// removeNode is the task of removeLocked. It returns nil if it deleted a node, and
// zk.ErrNoNode if there was none.
func (b *backend) removeNode(c *claim, placing *task) error {
	if placing != nil {
		<-placing.done
	}
	err := b.deleteNode(c)
	b.mu.Lock()
	defer b.mu.Unlock()
	c.removing = nil
	if errors.Is(err, zk.ErrNoNode) && c.deleting {
		// An earlier deletion of ours was not answered, and now the node is gone: it was
		// carried out. Or an eviction came between the two, or right before; but the claim
		// was not known to be lost when it was released, and then it makes no difference
		// to its holder which of the two was a moment earlier.
		err = nil
	}
	if err == nil || errors.Is(err, zk.ErrNoNode) {
		b.forgetLocked(c)
		return err
	}
	if c.phase != gone {
		c.tries++
		pause := min(10*time.Millisecond<<min(c.tries, 10), time.Second)
		if lastingFault(err) {
			pause = refusedAgain
		}
		c.session.scheduleLocked(c, time.Now().Add(pause))
	}
	return err
}

// refusedAgain is how long the keeper leaves a node alone that it is not allowed to delete.
// Nothing else ends it while the process lives, so it is tried when somebody may have
// changed that.
const refusedAgain = time.Minute

func (b *backend) deleteNode(c *claim) error {
	s := c.session
	b.mu.Lock()
	node, unknown, handOver := c.node, c.sent, c.granted
	b.mu.Unlock()
	if node == "" && !unknown {
		return zk.ErrNoNode
	}
	if node == "" {
		var err error
		if node, err = b.find(c); err != nil {
			return err
		}
		if node == "" {
			return zk.ErrNoNode
		}
	}
	me, _ := parseName(node)
	handOver = handOver && !me.beyond()
	ops := handOn(c.parent + "/" + node)
	if !handOver {
		ops = ops[1:]
	}
	_, err := s.batch.commit(&part{ops: ops})
	if handOver && errors.Is(err, zk.ErrNoAuth) { // to write to the node; the waiter will list
		_, err = s.batch.commit(&part{ops: ops[1:]})
	}
	switch {
	case err == nil:
		b.tidy(s, c.parent, me)
	case !answered(err):
		b.mu.Lock()
		c.deleting = true
		b.mu.Unlock()
	}
	return err
}

// handOn deletes the node of a holder and tells the one that waits behind it, by
// writing to the node in the same transaction: see waitBehind.
func handOn(path string) (ops []any) {
	return []any{
		&zk.SetDataRequest{Path: path, Version: -1},
		&zk.DeleteRequest{Path: path, Version: -1},
	}
}

// handOn does so for the first of a queue. Beyond the range nobody is told that he is
// the first, see waitBehind.
func (s *session) handOn(parent string, head nodeName) error {
	ops := handOn(parent + "/" + head.text)
	if head.beyond() {
		ops = ops[1:]
	}
	_, err := s.conn.Multi(ops...)
	if errors.Is(err, zk.ErrNoAuth) { // to write to the node; the waiter will list
		_, err = s.conn.Multi(ops[len(ops)-1])
	}
	return err
}
