package zookeeper

import (
	"context"
	"errors"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
)

// waitForPredecessor waits until the node directly before the claim's own is gone. It reports
// whether the claim is then known to be the first. If that is not known, the caller looks at the
// queue again.
//
// The event tells. A holder that releases writes to its node and deletes it, in one transaction,
// of which a watch tells the first half: the data has changed. A waiter that gives up, or whose
// session dies, does not write, nor does a holder that was alone and brief (see wasBrief): then the
// watch tells that the node was deleted. Nobody else ever writes to a claim's node. So "changed"
// comes from a holder, which was the first: all claims up to it are gone, and stay gone, since new
// ones come at the end. No claim was between it and ours, or we would have watched that one, and
// none can come between: ours is the first. The hand-off has cost one write and one push, however
// many wait.
//
// Is our session alive (etcd#11456)? The server that told us applies transactions in order. If
// the session had ended before the hand-off, the server would have closed this connection, and
// told it nothing more. Is our own node there? If somebody had deleted it before, the waiter
// behind us would wait for the same holder, and be told the same. So we watch our own node, too:
// see watchOwnNode.
//
// After a reconnect go-zookeeper sets the watches again, and then a server says "changed" of a
// node that was written to since the last answer that this session had. A claim's node is never
// written to but in its last moment, and it was created before the answer that told us of it. So
// it is either there unchanged, or "deleted".
//
// That last argument does not hold beyond the range of the numbers that tell the order. There a
// name comes again if an attempt that lost its position makes a node again, and after a reconnect
// that node would be "changed". So beyond the range a waiter looks at the queue whatever it is
// told, and a holder leaves without a write.
func (b *backend) waitForPredecessor(ctx context.Context, a *attempt, ahead string, heard func()) (first bool, err error) {
	a.leases.Waiters(1)
	defer a.leases.Waiters(-1)
	path := a.path + "/" + ahead
	guarded := b.pool.Start(func() error { return b.watchOwnNode(ctx, a) })
	w, err := a.session.Watch(ctx, path, nil, a.timeout())
	if unguarded := guarded.Wait(); unguarded != nil {
		return false, unguarded
	}
	past := beyond(a.node())
	if err == nil && past && b.isLater(a, w) {
		return false, nil
	}
	if err == nil {
		err = b.awaitWatch(ctx, a, w, path, heard)
	}
	switch {
	case errors.Is(err, zk.ErrNoNode): // gone already
		return false, nil
	case err != nil || past:
		return false, err
	default:
		return w.Changed, nil
	}
}

// isLater reports whether a watched node was made after the claim's own: it is another one with
// the name that we wanted to watch. Each of the two would wait for the other.
func (b *backend) isLater(a *attempt, w *session.Watch) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return w.Czxid() > a.czxid
}

// watchOwnNode sets a watch on the claim's own node. The holder that the attempt may become
// learns of a loss by it, too.
//
// The node's deletion is told before a hand-off that comes after it: a server tells a connection
// what happens in its order, and go-zookeeper tells us in that order. So the attempt has ended
// before the hand-off is looked at. A deletion that came before the watch finds no node here.
func (b *backend) watchOwnNode(ctx context.Context, a *attempt) error {
	_, err := a.session.Watch(ctx, a.claim, a, a.timeout())
	return b.nodeGone(a, err)
}

// waitPollEvery is how often a waiter looks whether the node that it waits for is still there,
// unless the lease is longer. A watch is not known to get lost, but a waiter that relied on it
// alone would wait for ever if one did.
const waitPollEvery = 10 * time.Second

// awaitWatch waits for a watch to fire. It calls heard, unless that is nil, whenever the server
// has confirmed the session meanwhile, and with it the position in the queue, since our own node is
// watched.
func (b *backend) awaitWatch(ctx context.Context, a *attempt, w *session.Watch, path string, heard func()) error {
	s := a.session
	tick := time.NewTicker(max(waitPollEvery, a.TTL))
	defer tick.Stop()
	var beats <-chan time.Time
	if heard != nil {
		// A confirmation is asked for after a quarter of the TTL, and seen an eighth later.
		beat := time.NewTicker(max(a.TTL/8, time.Millisecond))
		defer beat.Stop()
		beats = beat.C
	}
	last, over := s.Confirmed(), b.over(a)
	for {
		select {
		case <-w.Fired:
			return nil
		case <-over:
			return b.fate(a)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.Dead():
			return session.ErrExpired
		case <-b.pool.Closing.Done():
			return session.ErrClosed
		case <-beats:
			if confirmed := s.ConfirmedEvery(a.TTL / 4); confirmed.After(last) {
				last = confirmed
				heard()
			}
		case <-tick.C:
			if _, err := session.Ask(ctx, s, a.timeout(), func() (*zk.Stat, error) { return session.Stat(s, path) }); err != nil {
				return err
			}
		}
	}
}
