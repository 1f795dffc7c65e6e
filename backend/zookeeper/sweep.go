package zookeeper

import (
	"errors"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// sweepParents deletes the nodes of locks that this client does not use any more. The server does
// so too, but deletes 10,000 a minute at most, unless it is told otherwise; beyond that they
// would pile up.
//
// It never delays a lock: a timer begins it, one transaction is under way at a time, and after
// each it pauses for as long as that took. So a busy server is given less to do.
//
// The server deletes no node that has children, so this deletes nobody's claim. Create against
// deletion: if the create comes first, the node stays. If the deletion comes first, the create
// finds no node, and makes it again: see findOrCreate. Tokens are not touched, since they are
// czxids (0013). The node's counter begins again, as after the server's own sweep, and only after
// all claims with the old numbers are gone.
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

// deleteParents deletes nodes in one transaction. If somebody else uses one of them, or has
// deleted it, the server refuses all. Then deleteParents looks at the nodes, which costs the
// server little, and tries again with those that are still there and empty. What is left after
// some tries is left to the server.
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

// stillEmpty returns the nodes that are there and have no children, in no order.
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

// tidyParent deletes the parent, after one of its claims has left, if it has no children and the
// server will not delete it; or if its counter is past the half, so that the end of the numbers
// is not reached. If another claim comes at the same time, one of the two is first: then the
// parent is not empty and stays, or the create finds no parent and makes it again.
func (b *backend) tidyParent(s *session, parent string, left nodeName) {
	switch {
	case left.seq >= halfway || left.beyond():
		b.renewParent(s, parent)
	case b.plain.Load():
		_ = s.conn.Delete(parent, -1) // an empty node is no harm
	}
}

// renewParent deletes the node of a lock if there is no claim in it. So the next claim makes it
// again, with a counter that begins again. The guard goes with it, in one transaction.
//
// If another claim comes at the same time, one of the two is first. If the claim is, the node is
// not empty, and the server refuses and does nothing. If the deletion is, the create finds no
// node and makes it again. A token is a czxid, which rises however often the node is made. If
// several claims leave at the same time, the last sees that the node is empty: its server has
// carried out its deletion, and so all before it.
func (b *backend) renewParent(s *session, parent string) {
	st, err := stat(s.conn, parent)
	switch {
	case err != nil: // it is gone, or left to the client that leaves next, or to the server's sweep
	case st.NumChildren == 0:
		_ = s.conn.Delete(parent, -1)
	case st.NumChildren == 1: // the guard?
		guard, child := guardPaths(parent)
		if exists, _, err := s.conn.Exists(child); err == nil && exists {
			_, _ = s.conn.Multi(
				&zk.DeleteRequest{Path: child, Version: -1},
				&zk.DeleteRequest{Path: guard, Version: -1},
				&zk.DeleteRequest{Path: parent, Version: -1},
			)
		}
	}
}
