package zookeeper

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
)

// Renew sends one barrier for each session, however many grants it has. When that is
// answered, the session was alive, and the loss of each grant that is watched has been
// told, if it was before. Grants that are not watched yet are looked at one by one, by
// setting the watch.
func (b *backend) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	out := make([]driver.Renewal, len(grants))
	attempts := make([]*attempt, len(grants))
	bySession := make(map[*session][]int)
	b.mu.Lock()
	now := time.Now()
	for i, g := range grants {
		a := b.attempts[attemptKey{g.Key, g.AttemptID}]
		switch {
		case b.closed:
			out[i].Err = errClosed
		case a == nil || a.phase != held:
			out[i].Err = driver.ErrNotHeld
		case !now.Before(a.ends()):
			// It ran out before this call, and the keeper is about to notice.
			a.session.scheduleLocked(a, now)
			out[i].Err = driver.ErrNotHeld
		default:
			attempts[i] = a
			bySession[a.session] = append(bySession[a.session], i)
		}
	}
	b.mu.Unlock()
	var sessions sync.WaitGroup
	for s, indexes := range bySession {
		sessions.Go(func() { b.renew(ctx, s, attempts, indexes, out) })
	}
	sessions.Wait()
	return out
}

// renew renews the grants of one session.
//
// Watches that are missing are set at the same time as the barrier is sent, so that the first
// renewal of a lease takes one round trip, not two. In either order the answers prove the
// same: a deletion between the two is told by the watch, before the barrier is answered; and
// a watch that is set behind the barrier finds the node, or not. What was set on another
// connection than is there in the end is set once more.
func (b *backend) renew(ctx context.Context, s *session, attempts []*attempt, indexes []int, out []driver.Renewal) {
	timeout := driver.RequestTimeout(s.ttl())
	early := make(chan struct{})
	go func() {
		defer close(early)
		if s.link != nil {
			b.watchUnwatched(ctx, s, attempts, indexes, make([]driver.Renewal, len(out)))
		}
	}()
	err := s.barrier(ctx, timeout)
	<-early // it has no more time than the barrier
	if !s.alive() {
		err = fmt.Errorf("%w: %w", driver.ErrNotHeld, errSessionEnded)
	} else if err != nil {
		err = classify(ctx, err)
	}
	if err == nil {
		b.watchUnwatched(ctx, s, attempts, indexes, out)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, i := range indexes {
		a := attempts[i]
		switch {
		case a.phase != held:
			// Evicted, released or run out, whichever was first under the lock.
			out[i].Err = driver.ErrNotHeld
		case err != nil:
			out[i].Err = err
		case out[i].Err != nil:
		default:
			a.start = s.confirmed
			out[i].Start, out[i].TTL = a.start, a.lease()
		}
	}
}

// armUnwatched sets the watches that are missing, and notes why it could not. On an
// application's connection the event of a watch may come after the answer, so there
// each grant is looked at, each time.
func (b *backend) watchUnwatched(ctx context.Context, s *session, attempts []*attempt, indexes []int, out []driver.Renewal) {
	b.mu.Lock()
	work := make(chan int, len(indexes))
	for _, i := range indexes {
		if attempts[i].watched != s.connectionCount || s.link == nil {
			work <- i
		}
	}
	b.mu.Unlock()
	close(work)
	var workers sync.WaitGroup
	for range min(maxWatchRequests, len(work)) {
		workers.Go(func() {
			for i := range work {
				if err := b.confirmNode(ctx, s, attempts[i]); err != nil && !errors.Is(err, zk.ErrNoNode) {
					out[i].Err = classify(ctx, err)
				}
			}
		})
	}
	workers.Wait()
}

func (b *backend) confirmNode(ctx context.Context, s *session, a *attempt) error {
	if s.link != nil {
		return s.watchLoss(ctx, a)
	}
	return b.nodeGone(a, s.await(ctx, b.start(func() error { return b.verifyNode(a, a.path()) }), driver.RequestTimeout(a.ttl)))
}

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

// confirm takes in that a write was carried out which was sent at the given time:
// the session was alive, and was heard of then or later.
//
// Only writes count. They are agreed on by a majority, so they prove that the leader
// which counts this session's time was the leader. Reads are answered by one server,
// and sync by whoever thinks it is the leader (ZOOKEEPER-1675), which one that has
// been cut off does for a while; meanwhile a new leader may let the session expire,
// and let another have the lock. A new leader counts from its election, later than
// any write before it.
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
	case errors.Is(err, zk.ErrConnectionClosed) && s.link != nil:
		err = s.link.whyClosed(err)
	case errors.Is(err, zk.ErrNoServer) && s.link != nil && s.link.lastFailure() != nil:
		err = fmt.Errorf("%w: %w", err, s.link.lastFailure())
	}
	return answer, err
}

// isLocal reports, of a session of which a write was refused as expired, whether it is one
// that lives, but on one server only, which is not set to make it known to the others when it
// has to be. Of one that has expired the server closes the connection, and it is served no
// more.
func (s *session) isLocal() bool {
	if !s.alive() {
		return false
	}
	_, _, err := s.conn.Exists(s.backend.root)
	return err == nil && s.alive()
}
