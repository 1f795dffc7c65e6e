package zookeeper

import (
	"context"
	"errors"
	"time"

	"github.com/go-zookeeper/zk"
)

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
