package zookeeper

import (
	"context"
	"errors"
	"slices"
	"time"

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

// noLog is a zk.Logger. What matters of what go-zookeeper prints comes back as errors.
type noLog struct{}

func (noLog) Printf(string, ...any) {}

// task is work that goes on, on a goroutine of its own, whether or not its caller still waits for
// it. go-zookeeper's calls know no context, and block while there is no connection. What must not
// be lost, such as the name of a node that is created late, the work itself records.
type task struct {
	done chan struct{} // closed at the end
	err  error
}

// startLocked begins a task. Call with mu held.
func (b *backend) startLocked(work func() error) *task {
	t := &task{done: make(chan struct{})}
	if b.closed {
		t.err = errClosed
		close(t.done)
		return t
	}
	b.running.Go(func() {
		t.err = work()
		close(t.done)
	})
	return t
}

func (b *backend) start(work func() error) *task {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.startLocked(work)
}

// await waits for a task until its caller's context ends, the session dies, or the timeout has
// passed. If the server was silent for the whole timeout, the session looks for another server.
func (s *session) await(ctx context.Context, t *task, timeout time.Duration) error {
	select {
	case <-t.done: // the usual case costs no timer
		return t.err
	default:
	}
	begun := time.Now()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-t.done:
		return t.err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-s.dead:
		return errExpired
	case <-s.backend.closing.Done():
		return errClosed
	case <-timer.C:
		s.link.cutIfSilent(begun)
		return s.link.tooLate(timeout)
	}
}

// ask starts a task that has an answer, and waits for it.
func ask[T any](ctx context.Context, s *session, timeout time.Duration, call func() (T, error)) (T, error) {
	answers := make(chan T, 1) // so that an answer that nobody waits for is dropped
	err := s.await(ctx, s.backend.start(func() error {
		a, err := call()
		answers <- a
		return err
	}), timeout)
	select {
	case a := <-answers:
		return a, err
	default:
		var none T
		return none, err
	}
}

// stat returns the state of a node, or ErrNoNode.
func stat(c conn, path string) (*zk.Stat, error) {
	exists, st, err := c.Exists(path)
	if err == nil && !exists {
		err = zk.ErrNoNode
	}
	return st, err
}

// list returns the children of a node. A node that is not there has none.
func list(c conn, path string) ([]string, error) {
	children, _, err := c.Children(path)
	if errors.Is(err, zk.ErrNoNode) {
		return nil, nil
	}
	return children, err
}

// owned returns the names of an attempt's nodes, in no order.
func owned(children []string, attemptID string) []nodeName {
	return slices.DeleteFunc(parseAll(children), func(n nodeName) bool { return n.attemptID != attemptID })
}
