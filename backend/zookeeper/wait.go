package zookeeper

import (
	"context"
	"time"

	"github.com/go-zookeeper/zk"
)

// fewAhead is how many may be ahead for a list of them to cost no more than the floor.
const fewAhead = 16

// waitBehind waits until the node right before the claim's own is gone. It reports
// whether that makes the claim the first, as far as a short look can tell; if not, the
// whole queue must be looked at again.
func (b *backend) waitBehind(ctx context.Context, c *claim, l line) (first, behind bool, err error) {
	s, timeout := c.session, requestTimeout(c.ttl)
	path := c.parent + "/" + l.ahead.text
	w, err := s.watch(ctx, path, nil, timeout)
	if err == nil {
		err = b.sleep(ctx, c, w, path)
	}
	if err == zk.ErrNoNode { // gone already
		err = nil
	}
	if err != nil || l.before <= fewAhead {
		// Who came when few were ahead lists the queue: that settles it, however the
		// one ahead has left.
		return false, false, err
	}
	return b.handedOver(ctx, c, l.ahead.text)
}

// glimpse is how often a waiter looks whether what it waits for is still there, if
// the lease is not longer. A watch is not known to get lost, but a waiter that relied
// on it alone would wait for ever if one did.
const glimpse = 10 * time.Second

// sleep waits for a watch to fire.
func (b *backend) sleep(ctx context.Context, c *claim, w *watch, path string) error {
	s := c.session
	tick := time.NewTicker(max(glimpse, c.ttl))
	defer tick.Stop()
	for {
		select {
		case <-w.fired:
			return nil
		case <-c.ended:
			return b.fate(c)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.dead:
			return errExpired
		case <-b.closing.Done():
			return errClosed
		case <-tick.C:
			if _, err := ask(ctx, s, requestTimeout(c.ttl), func() (*zk.Stat, error) { return stat(s.conn, path) }); err != nil {
				return err
			}
		}
	}
}

// handedOver reports whether the claim is the first now, by its predecessor's own
// word.
//
// A holder that leaves deletes its node and writes the node's name into the parent's
// data, in one transaction: the floor. It was the first, so the floor means that all
// claims up to this one are gone; and they stay gone, for new ones come at the end. If
// it names the one that was right before us, we are the first. There was none between,
// or we would have watched that one, and none can come between.
//
// The transaction is one, so the server that told us of the deletion shows the floor
// too, or a later one. The name is of one node only, in this parent or one that was
// deleted: the owner in it is random. And another's floor never names our predecessor,
// which is not the first while something is before it.
//
// So a hand-off costs the same however many wait, where a list would have them all in
// it. Any other floor says nothing: the predecessor gave up, expired, or did not know
// that somebody waited. The waiter's own node is looked at in the same moment: one
// whose session died while it waited must not be granted the lock (etcd#11456).
func (b *backend) handedOver(ctx context.Context, c *claim, ahead string) (first, behind bool, err error) {
	type parent struct {
		floor    string
		children int32
	}
	s, path := c.session, c.path()
	p, err := ask(ctx, s, requestTimeout(c.ttl), func() (parent, error) {
		proof := b.start(func() error { return b.verify(c, path) })
		data, st, err := s.conn.Get(c.parent)
		<-proof.done
		switch {
		case proof.err != nil:
			return parent{}, proof.err
		case err == zk.ErrNoNode: // not while our node is there
			return parent{}, nil
		case err != nil:
			return parent{}, err
		}
		return parent{string(data), st.NumChildren}, nil
	})
	return p.floor == ahead, p.children > 1, b.orphaned(c, err)
}
