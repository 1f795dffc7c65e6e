package zookeeper

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
)

// lockNodes makes and deletes the nodes of locks, and remembers those that this client uses.
type lockNodes struct {
	*parents
	pool *session.Pool
	root string
	acl  []zk.ACL

	plain       atomic.Bool // the server knows no containers
	undeletable atomic.Bool // we may not delete the nodes
}

func newLockNodes(pool *session.Pool, root string, acl []zk.ACL) *lockNodes {
	l := &lockNodes{pool: pool, root: root, acl: acl}
	l.parents = newParents(func() { pool.Start(func() error { l.sweep(); return nil }) })
	return l
}

// make makes the node under which the claims of one key are. It is a container, which the
// server deletes some time after its last child. A server that knows no containers (before 3.5.3)
// gets a plain node, which the client that releases last deletes.
func (l *lockNodes) make(s *session.Session, path string) error {
	for _, last := range []bool{false, true} {
		err := l.makeOne(s, path)
		if !errors.Is(err, zk.ErrNoNode) || last {
			return err
		}
		// Somebody has deleted the namespace.
		if err := makePath(s, l.root, l.acl); err != nil {
			return err
		}
	}
	return nil
}

func (l *lockNodes) makeOne(s *session.Session, path string) error {
	if !l.plain.Load() {
		_, err := s.CreateContainer(path, nil, zk.FlagContainer, l.acl)
		switch {
		case errors.Is(err, zk.ErrNodeExists):
			return nil
		case !session.Unimplemented(err):
			return err
		}
		l.plain.Store(true)
	}
	_, err := s.Create(path, nil, zk.FlagPersistent, l.acl)
	if errors.Is(err, zk.ErrNodeExists) {
		return nil
	}
	return err
}

// makePath makes a node and those above it. It looks before it creates: a client that may use a
// node may not be allowed to make it.
func makePath(c session.Conn, path string, acl []zk.ACL) error {
	for i := 1; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' {
			continue
		}
		exists, _, err := c.Exists(path[:i])
		if err == nil && !exists {
			_, err = c.Create(path[:i], nil, zk.FlagPersistent, acl)
		}
		if err != nil && !errors.Is(err, zk.ErrNodeExists) {
			return err
		}
	}
	return nil
}

// sweep deletes the nodes of locks that this client does not use any more. The server does
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
func (l *lockNodes) sweep() {
	defer l.swept()
	for {
		idle := l.takeIdle()
		if len(idle) == 0 {
			return
		}
		s := l.pool.Open()
		if s == nil || l.undeletable.Load() {
			continue // they are left to the server
		}
		began := time.Now()
		l.delete(s, idle)
		select {
		case <-time.After(time.Since(began)):
		case <-l.pool.Closing.Done():
			return
		}
	}
}

// delete deletes nodes in one transaction. If somebody else uses one of them, or has
// deleted it, the server refuses all. Then it looks at the nodes, which costs the
// server little, and tries again with those that are still there and empty. What is left after
// some tries is left to the server.
func (l *lockNodes) delete(s *session.Session, paths []string) {
	for range 3 {
		var ops []any
		for _, path := range paths {
			ops = append(ops, &zk.DeleteRequest{Path: path, Version: -1})
		}
		switch _, err := s.Transact(ops); {
		case errors.Is(err, zk.ErrNoAuth):
			l.undeletable.Store(true)
			return
		case !errors.Is(err, zk.ErrNoNode) && !errors.Is(err, zk.ErrNotEmpty):
			return
		}
		if paths = stillEmpty(s, paths); len(paths) == 0 {
			return
		}
	}
}

// stillEmpty returns the nodes that are there and have no children, in no order.
func stillEmpty(c session.Conn, paths []string) []string {
	var reading sync.WaitGroup
	results := make(chan string, len(paths))
	for _, path := range paths {
		reading.Go(func() {
			if st, err := session.Stat(c, path); err == nil && st.NumChildren == 0 {
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

// tidy deletes the parent, after one of its claims has left, if it has no children and the
// server will not delete it; or if its counter is past the half, so that the end of the numbers
// is not reached. If another claim comes at the same time, one of the two is first: then the
// parent is not empty and stays, or the create finds no parent and makes it again.
func (l *lockNodes) tidy(s *session.Session, parent string, left nodeName) {
	switch {
	case left.seq >= halfway || left.beyond():
		l.renew(s, parent)
	case l.plain.Load():
		_ = s.Delete(parent, -1) // an empty node is no harm
	}
}

// renew deletes the node of a lock if there is no claim in it. So the next claim makes it
// again, with a counter that begins again. The guard goes with it, in one transaction.
//
// If another claim comes at the same time, one of the two is first. If the claim is, the node is
// not empty, and the server refuses and does nothing. If the deletion is, the create finds no
// node and makes it again. A token is a czxid, which rises however often the node is made. If
// several claims leave at the same time, the last sees that the node is empty: its server has
// carried out its deletion, and so all before it.
func (l *lockNodes) renew(s *session.Session, parent string) {
	st, err := session.Stat(s, parent)
	switch {
	case err != nil: // it is gone, or left to the client that leaves next, or to the server's sweep
	case st.NumChildren == 0:
		_ = s.Delete(parent, -1)
	case st.NumChildren == 1: // the guard?
		guard, child := guardPaths(parent)
		if exists, _, err := s.Exists(child); err == nil && exists {
			_, _ = s.Multi(
				&zk.DeleteRequest{Path: child, Version: -1},
				&zk.DeleteRequest{Path: guard, Version: -1},
				&zk.DeleteRequest{Path: parent, Version: -1},
			)
		}
	}
}
