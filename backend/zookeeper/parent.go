package zookeeper

import (
	"errors"

	"github.com/go-zookeeper/zk"
)

// makeParent makes the node under which the claims of one key are: a container, which
// the server deletes some time after its last child. A server that knows no containers
// (before 3.5.3) gets a plain node, which the one who releases last deletes.
func (b *backend) makeParent(s *session, path string) error {
	for _, last := range []bool{false, true} {
		err := b.makeKeyNode(s, path)
		if !errors.Is(err, zk.ErrNoNode) || last {
			return err
		}
		// Somebody has deleted the namespace.
		if err := makePath(s.conn, b.root, b.config.acl); err != nil {
			return err
		}
	}
	return nil
}

func (b *backend) makeKeyNode(s *session, path string) error {
	if !b.plain.Load() {
		_, err := s.conn.CreateContainer(path, nil, zk.FlagContainer, b.config.acl)
		switch {
		case errors.Is(err, zk.ErrNodeExists):
			return nil
		case !unimplemented(err):
			return err
		}
		b.plain.Store(true)
	}
	_, err := s.conn.Create(path, nil, zk.FlagPersistent, b.config.acl)
	if errors.Is(err, zk.ErrNodeExists) {
		return nil
	}
	return err
}

// tidy deletes the parent, after one of its claims has left, if it has no children and
// the server will not; or if its counter is past the half, so that the end of the
// numbers is not reached. If another claim comes at the same time, one of two is first:
// then the parent is not empty and stays, or the create finds no parent and makes it
// again.
func (b *backend) tidy(s *session, parent string, left nodeName) {
	switch {
	case left.seq >= halfway || left.beyond():
		b.renewParent(s, parent)
	case b.plain.Load():
		_ = s.conn.Delete(parent, -1) // an empty node is no harm
	}
}

// makePath makes a node and those above it. It looks before it creates: one who may
// use a node may not be allowed to make it.
func makePath(c conn, path string, acl []zk.ACL) error {
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
