package zookeeper

import (
	"context"
	"errors"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
	"github.com/fencelock/fencelock/driver"
)

// releaseTimeout bounds a Release of a grant whose TTL is not known.
const releaseTimeout = 3 * time.Second

// Release ends an attempt: its grant, or its position in the queue.
func (b *backend) Release(ctx context.Context, g driver.Grant) error {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return session.ErrClosed
	}
	// Whether a request is late makes no difference: one whose node is not known is looked for, see
	// find.
	a, _ := b.ledger.Release(g)
	if a == nil {
		b.mu.Unlock()
		return session.Classify(ctx, b.releaseUnknown(ctx, g))
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
	case err == nil || errors.Is(err, zk.ErrNoNode) || !a.session.Alive():
		return driver.ErrNotHeld
	default:
		return session.ClassifySteps(ctx, err, !a.deleting) // an earlier deletion may have been carried out
	}
}

// releaseUnknown ends an attempt that this backend does not know: one of another client, and
// mostly of none at all. An attempt of our own that is not known has nothing on the server (see
// attempts.Ledger). If a call of it has not got so far yet, its tombstone keeps it out already.
func (b *backend) releaseUnknown(ctx context.Context, g driver.Grant) error {
	for tries := 1; ; tries++ {
		s, err := b.pool.Some(ctx, b.info.MaxTTL)
		if err != nil {
			return err
		}
		q := b.queueOf(s, g.Key)
		owned, head, err := q.of(ctx, g.AttemptID)
		if err != nil && !s.Alive() && tries < 3 {
			continue // the session that asked has ended, as others may when the attempt's has: another asks
		}
		if err != nil {
			return err
		}
		return b.deleteOwned(ctx, q, owned, head)
	}
}

// deleteOwned deletes claims. It returns nil if that ended a grant.
func (b *backend) deleteOwned(ctx context.Context, q queue, owned []nodeName, head nodeName) error {
	result := driver.ErrNotHeld
	for _, n := range owned {
		remove := func() error { return q.session.Delete(q.path+"/"+n.text, -1) }
		isHead := n.text == head.text
		if isHead { // it can be the first in the list only if all before it are gone: see position
			remove = func() error { return q.handOff(n) }
		}
		err := q.session.Await(ctx, q.session.Start(remove), releaseTimeout)
		switch {
		case err == nil:
			q.session.Start(func() error { b.nodes.tidy(q.session, q.path, n); return nil })
			if isHead {
				result = nil
			}
		case !errors.Is(err, zk.ErrNoNode):
			return err
		}
	}
	return result
}
