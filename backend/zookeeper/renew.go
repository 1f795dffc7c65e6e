package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// Renew sends one barrier for each session, however many grants it has. Once that is answered,
// the session was alive, and the loss of each grant that has a watch has been told, if it came
// before. A grant without a watch is looked at by setting one.
func (b *backend) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	out := make([]driver.Renewal, len(grants))
	all := make([]*attempt, len(grants))
	bySession := make(map[*session][]int)
	b.mu.Lock()
	now := time.Now()
	for i, g := range grants {
		a := b.ledger.Of(g)
		switch {
		case b.closed:
			out[i].Err = errClosed
		case a == nil || a.Phase() != attempts.Held:
			out[i].Err = driver.ErrNotHeld
		case !now.Before(a.Expires()):
			// It ran out before this call, and keepAlive is about to notice.
			a.session.scheduleLocked(a, now)
			out[i].Err = driver.ErrNotHeld
		default:
			all[i] = a
			bySession[a.session] = append(bySession[a.session], i)
		}
	}
	b.mu.Unlock()
	var sessions sync.WaitGroup
	for s, indexes := range bySession {
		sessions.Go(func() { b.renew(ctx, s, all, indexes, out) })
	}
	sessions.Wait()
	return out
}

// renew renews the grants of one session.
//
// It sets missing watches at the same time as it sends the barrier, so that the first renewal of
// a lease takes one round trip, not two. The answers prove the same in either order. A deletion
// that falls between the two is told by the watch, before the barrier is answered. A watch that
// is set after the barrier finds the node, or does not. A watch that was set on another
// connection than there is in the end is set once more.
func (b *backend) renew(ctx context.Context, s *session, all []*attempt, indexes []int, out []driver.Renewal) {
	timeout := driver.RequestTimeout(s.ttl())
	early := make(chan struct{})
	go func() {
		defer close(early)
		b.watchUnwatched(ctx, s, all, indexes, make([]driver.Renewal, len(out)))
	}()
	err := s.barrier(ctx, timeout)
	<-early // it has no more time than the barrier
	if !s.alive() {
		err = fmt.Errorf("%w: %w", driver.ErrNotHeld, errSessionEnded)
	} else if err != nil {
		err = classify(ctx, err)
	}
	if err == nil {
		b.watchUnwatched(ctx, s, all, indexes, out)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range indexes {
		a, ttl := all[i], all[i].lease()
		switch {
		case a.Phase() != attempts.Held:
			// Evicted, released or run out, whichever was first under backend.mu.
			out[i].Err = driver.ErrNotHeld
		case err != nil:
			out[i].Err = err
		case out[i].Err != nil:
		default:
			b.ledger.Extend(a, s.confirmed.Add(ttl))
			out[i].Start, out[i].TTL = s.confirmed, ttl
		}
	}
}

// watchUnwatched sets the watches that are missing, and notes why it could not.
func (b *backend) watchUnwatched(ctx context.Context, s *session, all []*attempt, indexes []int, out []driver.Renewal) {
	b.mu.Lock()
	work := make(chan int, len(indexes))
	for _, i := range indexes {
		if all[i].watched != s.connectionCount {
			work <- i
		}
	}
	b.mu.Unlock()
	close(work)
	var workers sync.WaitGroup
	for range min(maxWatchRequests, len(work)) {
		workers.Go(func() {
			for i := range work {
				if err := s.watchLoss(ctx, all[i]); err != nil && !errors.Is(err, zk.ErrNoNode) {
					out[i].Err = classify(ctx, err)
				}
			}
		})
	}
	workers.Wait()
}

// barriers are writes that change nothing. When one is answered, the session was alive (see
// confirm), and this connection's server has caught up with all that was committed before. So has
// this client, since the events of watches come before the answer. And no request that was sent
// before the barrier, on a connection that broke either, will still be carried out: the server
// carries out a session's requests in the order in which they were sent, and closes a session's
// old connection, or refuses what comes by it ("session moved"), before it serves the new one.
//
// A barrier is a transaction that only checks that a node exists. It needs no more than the
// permission to read. Callers that come while one is under way share the next one.
type barriers struct {
	underway, next *task
	begunAt        time.Time // of the last one
}

// barrier waits for a barrier that is sent after the call.
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

// sendBarrier sends a barrier. Servers agree on the answer that the namespace's node has been
// deleted, or is not for us, as on any other. What one server refuses by itself, such as when it
// has too much to do, proves nothing.
func (s *session) sendBarrier() error {
	sent := time.Now()
	_, err := s.transact([]any{&zk.CheckVersionRequest{Path: s.backend.root, Version: -1}})
	if errors.Is(err, zk.ErrNoNode) || errors.Is(err, zk.ErrNoAuth) {
		s.confirm(sent)
		return nil
	}
	return err
}

// confirm notes that a write was carried out which was sent at the given time: the session was
// alive, and was heard of then or later.
//
// Only writes count. A majority agrees on each, so it proves that the leader which counts this
// session's time was the leader. One server answers reads, and any server that takes itself for
// the leader answers a sync (ZOOKEEPER-1675). A leader that has been cut off does so for a while;
// meanwhile a new leader may let the session expire, and let another client have the lock. A new
// leader counts from its election, later than any write before it.
func (s *session) confirm(sent time.Time) {
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	if sent.After(s.confirmed) {
		s.confirmed = sent
	}
}

// transact sends one transaction. Its operations are all carried out, or none.
func (s *session) transact(ops []any) ([]zk.MultiResponse, error) {
	sent := time.Now()
	answer, err := s.conn.Multi(ops...)
	switch {
	case err == nil:
		s.confirm(sent)
	case errors.Is(err, zk.ErrSessionExpired) && s.isLocal():
		err = errLocalSession
	case errors.Is(err, zk.ErrConnectionClosed):
		err = s.link.whyClosed(err)
	case errors.Is(err, zk.ErrNoServer) && s.link.lastFailure() != nil:
		err = fmt.Errorf("%w: %w", err, s.link.lastFailure())
	}
	return answer, err
}

// isLocal reports, after a write was refused since the session had expired, whether the session
// lives all the same, but on one server only, which is not set to make it known to the others
// when it must. If a session has expired, the server closes its connection and serves it no more.
func (s *session) isLocal() bool {
	if !s.alive() {
		return false
	}
	_, _, err := s.conn.Exists(s.backend.root)
	return err == nil && s.alive()
}
