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

// watch is the session's one watch of a node, for all who care. go-zookeeper cannot
// take a watch back, and keeps a channel for each request, so waiters that come and
// go before the same holder must not each have one.
//
// What is asked for is the node's data: a server sets no watch then if the node is
// gone. A watch by exists it would set all the same, and keep for as long as the session
// lives.
type watch struct {
	asked *task         // the request that sets it
	fired chan struct{} // closed when the server has told of a change: look again

	handedOff bool // by a holder, see waitForPredecessor; set before fired is closed

	// Guarded by backend.mu.
	holder *attempt // its holder wants to know of the loss
	proven int      // the connection, by number, on which the server has set it
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

// watch makes sure that the end of a node will be told. zk.ErrNoNode says that it is
// over already.
//
// After a reconnect go-zookeeper sets all watches again, and then the server tells
// what has happened meanwhile. But it does so at some moment, and a barrier may be
// answered before. A waiter loses nothing by that. A holder, who is to be told the
// truth about its grant by the next renewal, has its watch set anew on each connection.
func (s *session) watch(ctx context.Context, path string, owner *attempt, timeout time.Duration) (*watch, error) {
	b := s.backend
	b.mu.Lock()
	w := s.watches[path]
	if w == nil {
		w = &watch{fired: make(chan struct{})}
		s.watches[path] = w
	}
	if connection := s.connectionCount; w.asked == nil || owner != nil && w.proven != connection {
		w.asked = b.startLocked(func() error { return s.setWatch(path, w, connection) })
	}
	asked := w.asked
	if owner != nil {
		w.holder = owner
	}
	b.mu.Unlock()
	return w, s.await(ctx, asked, timeout)
}

// setWatch asks for it. If that fails, the next who cares asks again.
//
// Event against answer: an event may be taken in before its answer is, for each has
// its own goroutine. It finds the watch in the map, where it was before it was asked
// for, and closes fired; whoever gets the answer later sees that.
func (s *session) setWatch(path string, w *watch, connection int) error {
	_, st, events, err := s.conn.GetW(path)
	if err == nil && s.link == nil {
		s.awaitEvent(events)
	}
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	switch {
	case err == nil:
		// It was sent on this connection or a later one; then it is asked for once more.
		w.proven, w.czxid = max(w.proven, connection), st.Czxid
	case s.watches[path] == w:
		delete(s.watches, path)
		close(w.fired) // who has waited since an earlier connection looks again
	}
	return err
}

// forward has a goroutine wait for the event: an application's connection tells its
// events to the application only.
func (s *session) awaitEvent(events <-chan zk.Event) {
	s.backend.start(func() error {
		select {
		case ev := <-events:
			if errors.Is(ev.Err, zk.ErrSessionExpired) {
				s.die()
			} else {
				s.onEvent(ev)
			}
		case <-s.dead:
		case <-s.backend.closing.Done():
		}
		return nil
	})
}

// fire takes in that a watch has fired, which it does once. A holder whose node was
// written to, but not by itself, has been evicted, in one transaction; or somebody
// has meddled. So the watch is set again, which shows what it was.
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
	owner := w.holder
	if owner != nil && !deleted {
		owner.watched = 0
		s.scheduleLocked(owner, time.Now())
	}
	b.mu.Unlock()
	if owner != nil && deleted {
		b.lose(owner, errNodeGone)
	}
}
