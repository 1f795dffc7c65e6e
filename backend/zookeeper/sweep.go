package zookeeper

import (
	"errors"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// sweepParents deletes the nodes of locks that this client does not use any more. The
// server does so too, but 10,000 a minute at most, unless it is told otherwise; more than
// that would pile up.
//
// It is never on the way of a lock: a timer begins it, one transaction is under way at a
// time, and as long as that took nothing is sent after it. So a server that is busy is
// given less to do.
//
// The server deletes no node that has children, so nobody's claim is in the way of this, or
// lost by it. Who makes a claim at the same time comes before the deletion, and then the node
// stays; or finds no node, and makes it again: see findOrCreate. Tokens are not touched,
// since they are czxids (0013). The node's counter begins anew, as after the server's own
// sweep, and only after all claims with the old numbers are gone.
func (b *backend) sweepParents() error {
	defer b.parents.swept()
	for {
		idle := b.parents.takeIdle()
		if len(idle) == 0 {
			return nil
		}
		s := b.anySession()
		if s == nil || b.undeletable.Load() {
			continue // they are left to the server
		}
		began := time.Now()
		b.deleteParents(s, idle)
		select {
		case <-time.After(time.Since(began)):
		case <-b.closing.Done():
			return nil
		}
	}
}

// deleteParents deletes nodes in one transaction. One of them that somebody else uses, or has
// deleted, has the server refuse all; then the nodes are looked at, which costs the server
// little, and those that are still there and empty go again. What is left after some tries is
// left to the server.
func (b *backend) deleteParents(s *session, paths []string) {
	for range 3 {
		var ops []any
		for _, path := range paths {
			ops = append(ops, &zk.DeleteRequest{Path: path, Version: -1})
		}
		switch _, err := s.transact(ops); {
		case errors.Is(err, zk.ErrNoAuth):
			b.undeletable.Store(true)
			return
		case !errors.Is(err, zk.ErrNoNode) && !errors.Is(err, zk.ErrNotEmpty):
			return
		}
		if paths = stillEmpty(s.conn, paths); len(paths) == 0 {
			return
		}
	}
}

// stillEmpty returns those that are there and have no children, in no order.
func stillEmpty(c conn, paths []string) []string {
	var reading sync.WaitGroup
	results := make(chan string, len(paths))
	for _, path := range paths {
		reading.Go(func() {
			if st, err := stat(c, path); err == nil && st.NumChildren == 0 {
				results <- path
			}
		})
	}
	reading.Wait()
	close(results)
	var left []string
	for path := range results {
		left = append(left, path)
	}
	return left
}

// anySession returns a session that is open; nil if there is none.
func (b *backend) anySession() *session {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sessions {
		select {
		case <-s.ready:
			if s.failure == nil && !s.isDead {
				return s
			}
		default:
		}
	}
	return nil
}
