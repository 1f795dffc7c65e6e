package session

import (
	"context"
	"sync"
	"time"
)

// watches are a session's: one of a node, which all share that want to know of the node's end.
type watches struct {
	session *Session

	mu          sync.Mutex
	byPath      map[string]*Watch
	connections int // how many there were so far
}

// Watch is a session's only watch of a node. go-zookeeper cannot take a watch back, and keeps a
// channel for each request, so waiters that come and go behind the same holder must not have one
// each.
//
// The request asks for the node's data: if the node is gone, a server then sets no watch. If it
// asked by exists, the server would set the watch all the same, and keep it for as long as the
// session lives.
type Watch struct {
	Fired   chan struct{} // closed when the server has told of a change: look again
	Changed bool          // the node was written to, not deleted; set before Fired is closed

	// The rest is guarded by watches.mu, which is that of set.
	set    *watches
	asked  *Task // the request that sets it
	holder any   // wants to know that it has lost the node; nil: nobody does
	proven int   // the number of the connection on which the server has set it
	czxid  int64 // of the node, when it was set
}

// HasFired reports whether the watch is used up.
func (w *Watch) HasFired() bool {
	select {
	case <-w.Fired:
		return true
	default:
		return false
	}
}

// Proven is the number of the connection on which the server has set the watch.
func (w *Watch) Proven() int {
	w.set.mu.Lock()
	defer w.set.mu.Unlock()
	return w.proven
}

// Czxid is that of the node when the watch was set.
func (w *Watch) Czxid() int64 {
	w.set.mu.Lock()
	defer w.set.mu.Unlock()
	return w.czxid
}

// Watch makes sure that the end of a node will be told: by Fired, and to the Keeper if there is a
// holder. zk.ErrNoNode says that the node is gone already.
//
// After a reconnect go-zookeeper sets all watches again, and then the server tells what has
// happened meanwhile. But it does so at some moment, and a barrier may be answered before that. A
// waiter loses nothing by it. A holder must learn the truth about its grant by the next renewal,
// so its watch is set again on each connection.
func (l *watches) Watch(ctx context.Context, path string, holder any, timeout time.Duration) (*Watch, error) {
	l.mu.Lock()
	w := l.byPath[path]
	if w == nil {
		w = &Watch{Fired: make(chan struct{}), set: l}
		l.byPath[path] = w
	}
	if connection := l.connections; w.asked == nil || holder != nil && w.proven != connection {
		w.asked = l.session.pool.Start(func() error { return l.ask(path, w, connection) })
	}
	asked := w.asked
	if holder != nil {
		w.holder = holder
	}
	l.mu.Unlock()
	return w, l.session.Await(ctx, asked, timeout)
}

// ask sets a watch. If that fails, the next caller of Watch asks again.
//
// Event against answer: each has a goroutine of its own, so the event may be handled first. It
// finds the watch in the map, where it was before it was asked for, and closes Fired. Callers
// that get the answer later see that.
func (l *watches) ask(path string, w *Watch, connection int) error {
	_, st, _, err := l.session.GetW(path)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		// It was sent on this connection or a later one; if a later one, it is asked for once more.
		w.proven, w.czxid = max(w.proven, connection), st.Czxid
	case l.byPath[path] == w:
		delete(l.byPath, path)
		close(w.Fired) // those that have waited since an earlier connection look again
	}
	return err
}

// fire handles the event of a watch, which comes once.
func (l *watches) fire(path string, deleted bool) {
	l.mu.Lock()
	w := l.byPath[path]
	if w == nil {
		l.mu.Unlock()
		return
	}
	delete(l.byPath, path)
	w.Changed = !deleted
	close(w.Fired)
	holder := w.holder
	l.mu.Unlock()
	if holder != nil {
		l.session.keeper.Changed(holder, deleted)
	}
}

// connectedAgain notes that there is another connection, and returns its number.
func (l *watches) connectedAgain() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.connections++
	return l.connections
}

// Connection is the number of the latest connection.
func (l *watches) Connection() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.connections
}

// dropWatches forgets all: nobody is told by them any more.
func (l *watches) dropWatches() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.byPath)
}
