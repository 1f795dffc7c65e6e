package zookeeper

import (
	"context"
	"errors"
	"time"

	"github.com/go-zookeeper/zk"
)

// barriers are writes that change nothing. When one is answered, the session was
// alive (see confirm), this connection's server has caught up with all that was
// committed before, and so has this client: the events of watches come before the
// answer. And no request that was sent before it, on a connection that broke too, will
// still be carried out: the server carries out a session's requests in the order in
// which they were sent, and closes a session's old connection, or refuses what comes by
// it ("session moved"), before it serves the new one.
//
// A barrier is a transaction that only checks that a node exists. It needs no more
// than the permission to read. Who comes while one is under way shares the next one.
type barriers struct {
	underway, next *task
	begunAt        time.Time // the last one
}

// barrier waits for one that is sent after the call.
func (s *session) barrier(ctx context.Context, timeout time.Duration) error {
	s.backend.mu.Lock()
	t := s.joinBarrierLocked()
	s.backend.mu.Unlock()
	return s.await(ctx, t, timeout)
}

func (s *session) joinBarrierLocked() *task {
	if s.underway == nil {
		t := &task{done: make(chan struct{})}
		s.underway = t
		s.runBarrierLocked(t)
		return t
	}
	if s.next == nil {
		s.next = &task{done: make(chan struct{})}
	}
	return s.next
}

func (s *session) runBarrierLocked(t *task) {
	b := s.backend
	if b.closed {
		t.err = errClosed
		close(t.done)
		s.underway = nil
		return
	}
	s.begunAt = time.Now()
	b.running.Go(func() {
		t.err = s.sendBarrier()
		close(t.done)
		b.mu.Lock()
		defer b.mu.Unlock()
		s.underway, s.next = s.next, nil
		if s.underway != nil {
			s.runBarrierLocked(s.underway)
		}
	})
}

// prove sends a barrier. That the namespace's node has been deleted, or is not for us, is
// agreed on as any other answer is. What one server refuses by itself, since it has too much
// to do say, proves nothing.
func (s *session) sendBarrier() error {
	sent := time.Now()
	_, err := s.transact([]any{&zk.CheckVersionRequest{Path: s.backend.root, Version: -1}})
	if errors.Is(err, zk.ErrNoNode) || errors.Is(err, zk.ErrNoAuth) {
		s.confirm(sent)
		return nil
	}
	return err
}
