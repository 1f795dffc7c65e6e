package session

import (
	"errors"
	"time"

	"github.com/go-zookeeper/zk"
)

// Conn is what we use of a *zk.Conn.
type Conn interface {
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

// Connect makes the connection of a session. It is called with a lock held, for which the events
// wait. The channel is closed when the connection has ended.
type Connect func(l *Link, servers []string, timeout time.Duration, onEvent func(zk.Event)) (Conn, <-chan zk.Event, error)

// connect makes a *zk.Conn.
func connect(l *Link, servers []string, timeout time.Duration, onEvent func(zk.Event)) (Conn, <-chan zk.Event, error) {
	return zk.Connect(servers, timeout,
		zk.WithDialer(l.dial), zk.WithHostProvider(l.hosts), zk.WithEventCallback(onEvent),
		zk.WithLogger(noLog{}), zk.WithLogInfo(false))
}

// noLog is a zk.Logger. What matters of what go-zookeeper prints comes back as errors.
type noLog struct{}

func (noLog) Printf(string, ...any) {}

// Stat returns the state of a node, or ErrNoNode.
func Stat(c Conn, path string) (*zk.Stat, error) {
	exists, st, err := c.Exists(path)
	if err == nil && !exists {
		err = zk.ErrNoNode
	}
	return st, err
}

// List returns the children of a node. A node that is not there has none.
func List(c Conn, path string) ([]string, error) {
	children, _, err := c.Children(path)
	if errors.Is(err, zk.ErrNoNode) {
		return nil, nil
	}
	return children, err
}
