package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/driver"
)

// keep keeps a session alive until it is dead or the backend closed: the lease by
// a keep-alive within each third of its TTL, unless the core's renewals were
// quicker, and the claims by deleting those whose time is over.
func (s *session) keep() {
	defer s.stopListening()
	tick := time.NewTicker(s.ttl / 12)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.wake:
		case <-s.dead:
			return
		case <-s.backend.closing.Done():
			return
		}
		if time.Since(s.confirmed()) > s.ttl/4 {
			ctx, cancel := s.backend.bound(context.Background(), s.ttl/3)
			_, _ = s.refresh(ctx) // if it fails, the next tick tries again
			cancel()
		}
		s.sweep()
		if s.over() {
			s.end(errRetired) // for the server with its TTL
			return
		}
	}
}

var errRetired = errors.New("etcd: the session has ended, since the server refuses to have its claims deleted")

// refreshing is a keep-alive under way.
type refreshing struct {
	done  chan struct{}
	start time.Time
	err   error
}

// fresh returns a time, no longer ago than the given age, from which the lease
// lives for a TTL. Callers who come together share one keep-alive. The error is
// errSessionGone if the server has said so.
func (s *session) fresh(ctx context.Context, age time.Duration) (time.Time, error) {
	if start := s.confirmed(); time.Since(start) <= age && !s.isDead() {
		return start, nil
	}
	return s.refresh(ctx)
}

func (s *session) refresh(ctx context.Context) (time.Time, error) {
	s.mu.Lock()
	r := s.refreshing
	if r == nil {
		r = &refreshing{done: make(chan struct{})}
		s.refreshing = r
		// Detached from the caller, since others rely on it.
		if !s.backend.goUnlessClosed(func() { s.run(r) }) { //nolint:contextcheck // detached, as it says
			s.refreshing = nil
			s.mu.Unlock()
			return time.Time{}, errClosed
		}
	}
	s.mu.Unlock()
	select {
	case <-r.done:
		return r.start, r.err
	case <-s.dead:
		return time.Time{}, errSessionGone
	case <-ctx.Done():
		return time.Time{}, context.Cause(ctx)
	case <-s.backend.closing.Done():
		return time.Time{}, errClosed
	}
}

// run asks one member after the other, if one does not answer, for as long as a third
// of the TTL.
func (s *session) run(r *refreshing) {
	ctx, cancel := s.backend.bound(context.Background(), s.ttl/3)
	defer cancel()
	for pause := s.ttl / 256; ; pause *= 2 {
		r.start, r.err = s.keepAlive(ctx)
		if r.err == nil || !errors.Is(r.err, driver.ErrUnavailable) || errors.Is(r.err, errSessionGone) || !sleep(ctx, pause) {
			break
		}
	}
	s.mu.Lock()
	if r.err == nil && r.start.After(s.start) {
		s.start = r.start
	}
	s.refreshing = nil
	s.mu.Unlock()
	close(r.done)
	switch {
	case errors.Is(r.err, errSessionGone):
		s.end(errGone)
	case s.backend.closing.Err() != nil:
	case r.err != nil:
		s.backend.contact.Lost(r.err)
	default:
		s.backend.contact.Reached()
	}
}

// keepAlive extends the lease. The answer to a keep-alive does not go through
// Raft. A member that was the leader, and does not know yet that it is not any
// more, answers it, too (etcd#15247), and the true leader ends the lease all the
// same; and etcd 3.7 answers for a lease whose end it has not carried out yet. So we
// read the fence afterwards, which a majority has to confirm, and take the answer
// only if the fence is still there, in the same term: then there was no later leader
// when the lease was extended, and no earlier end of the lease.
func (s *session) keepAlive(ctx context.Context) (time.Time, error) {
	e, err := s.extend(ctx)
	if err != nil {
		return e.start, s.backend.detachedFault(err)
	}
	if e.left < 0 {
		return e.start, errSessionGone
	}
	fence, err := read(ctx, s.backend, s.ttl, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return s.backend.client.Get(ctx, s.fence)
	})
	switch {
	case err != nil && ctx.Err() != nil: // which is ours
		return e.start, s.backend.detachedFault(err)
	case err != nil:
		return e.start, err
	case len(fence.Kvs) == 0:
		return e.start, errSessionGone
	case fence.Header.RaftTerm != e.term:
		return e.start, fmt.Errorf("%w: etcd: the leader changed while the lease was renewed", driver.ErrUnavailable)
	}
	s.sawFence(fence.Kvs[0].ModRevision)
	// What is left may be less than the TTL: then it counts from so much earlier.
	return e.start.Add(min(e.left-s.ttl, 0)), nil
}

// sleep waits for d; it returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
