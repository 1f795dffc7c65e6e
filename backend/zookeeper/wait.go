package zookeeper

import (
	"context"
	"errors"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
)

// waitForPredecessor waits until the node right before the claim's own is gone. It reports
// whether that makes the claim the first; if it cannot tell, the queue must be looked
// at again.
//
// It can tell by the event. A holder that leaves writes to its node and deletes it, in
// one transaction, of which a watch tells the first half: the data has changed. A
// waiter that gives up, or whose session dies, does not write, and the watch tells that
// the node was deleted. Nobody else ever writes to a claim's node. So "changed" is the
// word of a holder, who was the first: all claims up to it are gone, and stay gone, for
// new ones come at the end. There was none between it and us, or we would have watched
// that one, and none can come between: we are the first. The hand-off has cost one
// write and one push, however many wait.
//
// Is our session alive (etcd#11456)? The server that told us applies transactions in
// order. Had the session ended before the hand-off, it would have closed this
// connection, and told it nothing more. Is our own node there? If somebody had deleted
// it before, the one behind us would wait for the same holder, and be told the same. So
// it is watched too: see guard.
//
// After a reconnect go-zookeeper sets the watches again, and a server then says
// "changed" of a node that was written to since the last answer this session had. A
// claim's node is never written to but in its last moment, and it was created before the
// answer that told us of it. So it is either there unchanged, or "deleted".
//
// The last does not hold beyond the range of the numbers that tell the order: there a
// name comes again if an owner that lost its place makes a node anew, and after a
// reconnect that node would be "changed". So a claim beyond looks at the queue whatever
// it is told, and one that holds the lock leaves without a word.
func (b *backend) waitForPredecessor(ctx context.Context, a *attempt, ahead string, heard func()) (first bool, err error) {
	s, path := a.session, a.parent+"/"+ahead
	guarded := b.start(func() error { return b.watchOwnNode(ctx, a) })
	w, err := s.watch(ctx, path, nil, driver.RequestTimeout(a.ttl))
	<-guarded.done
	if guarded.err != nil {
		return false, guarded.err
	}
	past := beyond(a.node)
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
	case w.handedOff && s.link == nil:
		err := s.await(ctx, b.start(func() error { return b.verifyNode(a, a.path()) }), driver.RequestTimeout(a.ttl))
		return err == nil, b.nodeGone(a, err)
	default:
		return w.handedOff, nil
	}
}

// isBehind reports whether a watched node was made after the claim's own: another of the
// name that we wanted to watch. Each would wait for the other.
func (b *backend) isLater(a *attempt, w *watch) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return w.czxid > a.czxid
}

// guard sets a watch on the claim's own node, by which the holder that it may become
// learns of a loss, too. The node's deletion is told before a hand-off that comes after
// it, since a server tells a connection what happens in its order, and go-zookeeper
// tells us in that order: then the claim is gone before the hand-off is taken in. A
// deletion that came before the watch finds no node here. An application's connection
// tells each event to a goroutine of its own, in no order; there the node is looked at
// after the hand-off.
func (b *backend) watchOwnNode(ctx context.Context, a *attempt) error {
	if a.session.link == nil {
		return nil
	}
	_, err := a.session.watch(ctx, a.path(), a, driver.RequestTimeout(a.ttl))
	return b.nodeGone(a, err)
}

// glimpse is how often a waiter looks whether what it waits for is still there, if
// the lease is not longer. A watch is not known to get lost, but a waiter that relied
// on it alone would wait for ever if one did.
const waitPollEvery = 10 * time.Second

// sleep waits for a watch to fire. Whenever the server has confirmed the session meanwhile,
// and with it the claim, whose node is watched, it says so: heard may be nil.
func (b *backend) awaitWatch(ctx context.Context, a *attempt, w *watch, path string, heard func()) error {
	s := a.session
	tick := time.NewTicker(max(waitPollEvery, a.ttl))
	defer tick.Stop()
	var beats <-chan time.Time
	if heard != nil {
		// A confirmation is asked for after a quarter of the TTL, and seen an eighth later.
		beat := time.NewTicker(max(a.ttl/8, time.Millisecond))
		defer beat.Stop()
		beats = beat.C
	}
	last := s.lastConfirmed()
	for {
		select {
		case <-w.fired:
			return nil
		case <-a.ended:
			return b.endReason(a)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.dead:
			return errExpired
		case <-b.closing.Done():
			return errClosed
		case <-beats:
			if confirmed := s.confirmedEvery(a.ttl / 4); confirmed.After(last) {
				last = confirmed
				heard()
			}
		case <-tick.C:
			if _, err := ask(ctx, s, driver.RequestTimeout(a.ttl), func() (*zk.Stat, error) { return stat(s.conn, path) }); err != nil {
				return err
			}
		}
	}
}

func (s *session) lastConfirmed() time.Time {
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	return s.confirmed
}

// confirmedEvery returns when the session was last confirmed, and has it confirmed again if
// that is too long ago. The keeper does so for the session's own TTL, which may be far longer
// than a claim's. Where one is refused at once, the next is not asked for at once.
func (s *session) confirmedEvery(d time.Duration) time.Time {
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	if time.Since(s.confirmed) > d && time.Since(s.begunAt) > d/4 && s.underway == nil {
		s.joinBarrierLocked()
	}
	return s.confirmed
}
