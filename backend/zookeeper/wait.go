package zookeeper

import (
	"context"
	"errors"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
)

// waitForPredecessor waits until the node directly before the claim's own is gone. It reports
// whether the claim is then known to be the first. If that is not known, the caller looks at the
// queue again.
//
// The event tells. A holder that releases writes to its node and deletes it, in one transaction,
// of which a watch tells the first half: the data has changed. A waiter that gives up, or whose
// session dies, does not write, and the watch tells that the node was deleted. Nobody else ever
// writes to a claim's node. So "changed" comes from a holder, which was the first: all claims up
// to it are gone, and stay gone, since new ones come at the end. No claim was between it and
// ours, or we would have watched that one, and none can come between: ours is the first. The
// hand-off has cost one write and one push, however many wait.
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
	s, path := a.session, a.parent+"/"+ahead
	guarded := b.start(func() error { return b.watchOwnNode(ctx, a) })
	w, err := s.watch(ctx, path, nil, driver.RequestTimeout(a.TTL))
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
	default:
		return w.handedOff, nil
	}
}

// isLater reports whether a watched node was made after the claim's own: it is another one with
// the name that we wanted to watch. Each of the two would wait for the other.
func (b *backend) isLater(a *attempt, w *watch) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return w.czxid > a.czxid
}

// watchOwnNode sets a watch on the claim's own node. The holder that the attempt may become
// learns of a loss by it, too.
//
// The node's deletion is told before a hand-off that comes after it: a server tells a connection
// what happens in its order, and go-zookeeper tells us in that order. So the attempt has ended
// before the hand-off is looked at. A deletion that came before the watch finds no node here.
func (b *backend) watchOwnNode(ctx context.Context, a *attempt) error {
	_, err := a.session.watch(ctx, a.path(), a, driver.RequestTimeout(a.TTL))
	return b.nodeGone(a, err)
}

// waitPollEvery is how often a waiter looks whether the node that it waits for is still there,
// unless the lease is longer. A watch is not known to get lost, but a waiter that relied on it
// alone would wait for ever if one did.
const waitPollEvery = 10 * time.Second

// awaitWatch waits for a watch to fire. It calls heard, unless that is nil, whenever the server
// has confirmed the session meanwhile, and with it the position in the queue, since our own node is
// watched.
func (b *backend) awaitWatch(ctx context.Context, a *attempt, w *watch, path string, heard func()) error {
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
	last := s.lastConfirmed()
	for {
		select {
		case <-w.fired:
			return nil
		case <-a.ended:
			return b.fate(a)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.dead:
			return errExpired
		case <-b.closing.Done():
			return errClosed
		case <-beats:
			if confirmed := s.confirmedEvery(a.TTL / 4); confirmed.After(last) {
				last = confirmed
				heard()
			}
		case <-tick.C:
			if _, err := ask(ctx, s, driver.RequestTimeout(a.TTL), func() (*zk.Stat, error) { return stat(s.conn, path) }); err != nil {
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

// confirmedEvery returns when the session was last confirmed, and has it confirmed again if that
// is too long ago. keepAlive does so for the session's own TTL, which may be far longer than an
// attempt's. If a confirmation is refused at once, the next one is not asked for at once.
func (s *session) confirmedEvery(d time.Duration) time.Time {
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	if time.Since(s.confirmed) > d && time.Since(s.begunAt) > d/4 && s.underway == nil {
		s.joinBarrierLocked()
	}
	return s.confirmed
}

// watch is the session's only watch of a node, which all share that want to know of the node's
// end. go-zookeeper cannot take a watch back, and keeps a channel for each request, so waiters
// that come and go behind the same holder must not have one each.
//
// The request asks for the node's data: if the node is gone, a server then sets no watch. If it
// asked by exists, the server would set the watch all the same, and keep it for as long as the
// session lives.
type watch struct {
	asked *task         // the request that sets it
	fired chan struct{} // closed when the server has told of a change: look again

	handedOff bool // a holder has handed off, see waitForPredecessor; set before fired is closed

	// Guarded by backend.mu.
	holder *attempt // wants to know that it has lost the node; nil: nobody does
	proven int      // the number of the connection on which the server has set it
	czxid  int64    // of the node, when it was set
}

// hasFired reports whether the watch is used up.
func (w *watch) hasFired() bool {
	select {
	case <-w.fired:
		return true
	default:
		return false
	}
}

// watch makes sure that the end of a node will be told. zk.ErrNoNode says that the node is gone
// already.
//
// After a reconnect go-zookeeper sets all watches again, and then the server tells what has
// happened meanwhile. But it does so at some moment, and a barrier may be answered before that. A
// waiter loses nothing by it. A holder must learn the truth about its grant by the next renewal,
// so its watch is set again on each connection.
func (s *session) watch(ctx context.Context, path string, holder *attempt, timeout time.Duration) (*watch, error) {
	b := s.backend
	b.mu.Lock()
	w := s.watches[path]
	if w == nil {
		w = &watch{fired: make(chan struct{})}
		s.watches[path] = w
	}
	if connection := s.connectionCount; w.asked == nil || holder != nil && w.proven != connection {
		w.asked = b.startLocked(func() error { return s.setWatch(path, w, connection) })
	}
	asked := w.asked
	if holder != nil {
		w.holder = holder
	}
	b.mu.Unlock()
	return w, s.await(ctx, asked, timeout)
}

// setWatch asks for a watch. If that fails, the next caller of watch asks again.
//
// Event against answer: each has a goroutine of its own, so the event may be handled first. It
// finds the watch in the map, where it was before it was asked for, and closes fired. Callers
// that get the answer later see that.
func (s *session) setWatch(path string, w *watch, connection int) error {
	_, st, _, err := s.conn.GetW(path)
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	switch {
	case err == nil:
		// It was sent on this connection or a later one; if a later one, it is asked for once more.
		w.proven, w.czxid = max(w.proven, connection), st.Czxid
	case s.watches[path] == w:
		delete(s.watches, path)
		close(w.fired) // those that have waited since an earlier connection look again
	}
	return err
}

// fire handles the event of a watch, which comes once. If a holder's node was written to, and not
// by the holder, then somebody has evicted the holder, in one transaction, or has meddled.
// Setting the watch again shows which.
func (s *session) fire(path string, deleted bool) {
	b := s.backend
	b.mu.Lock()
	w := s.watches[path]
	if w == nil {
		b.mu.Unlock()
		return
	}
	delete(s.watches, path)
	w.handedOff = !deleted
	close(w.fired)
	holder := w.holder
	if holder != nil && !deleted {
		holder.watched = 0
		s.scheduleLocked(holder, time.Now())
	}
	b.mu.Unlock()
	if holder != nil && deleted {
		b.lose(holder, errNodeGone)
	}
}
