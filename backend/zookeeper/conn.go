package zookeeper

import (
	"errors"
	"slices"

	"github.com/go-zookeeper/zk"
)

// conn is what we use of a *zk.Conn.
type conn interface {
	Create(path string, data []byte, flags int32, acl []zk.ACL) (string, error)
	CreateContainer(path string, data []byte, flags int32, acl []zk.ACL) (string, error)
	Delete(path string, version int32) error
	Exists(path string) (bool, *zk.Stat, error)
	Get(path string) ([]byte, *zk.Stat, error)
	Children(path string) ([]string, *zk.Stat, error)
	GetW(path string) ([]byte, *zk.Stat, <-chan zk.Event, error)
	Multi(ops ...any) ([]zk.MultiResponse, error)
	Sync(path string) (string, error)
	AddAuth(scheme string, auth []byte) error
	SessionID() int64
	State() zk.State
	Close()
}

var _ conn = (*zk.Conn)(nil)

// quiet is a zk.Logger. What matters of what go-zookeeper prints comes back as
// errors.
type quiet struct{}

func (quiet) Printf(string, ...any) {}

// stat returns what a look at a node gives, or ErrNoNode.
func stat(c conn, path string) (*zk.Stat, error) {
	exists, st, err := c.Exists(path)
	if err == nil && !exists {
		err = zk.ErrNoNode
	}
	return st, err
}

// list returns the children of a node; a node that is not there has none.
func list(c conn, path string) ([]string, error) {
	children, _, err := c.Children(path)
	if errors.Is(err, zk.ErrNoNode) {
		return nil, nil
	}
	return children, err
}

// owned returns the names of an owner's nodes, in no order.
func owned(children []string, owner string) []nodeName {
	return slices.DeleteFunc(parseAll(children), func(n nodeName) bool { return n.owner != owner })
}
