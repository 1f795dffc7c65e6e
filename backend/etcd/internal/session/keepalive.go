package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/backend/etcd/internal/cluster"
	"github.com/fencelock/fencelock/driver"
)

// maintain runs until the session is dead or the connection closed. It sends a keep-alive for the lease
// within each third of its TTL, unless the core's renewals were quicker, and deletes overdue claims.
func (s *Session) maintain() {
	defer s.endLifetime()
	tick := time.NewTicker(s.TTL / 12)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.wake:
		case <-s.dead:
			return
		case <-s.conn.Closing().Done():
			return
		}
		if time.Since(s.confirmed()) > s.TTL/4 {
			ctx := s.conn.Bound(context.Background(), s.TTL/3)
			_, _ = s.refresh(ctx) // if it fails, the next tick tries again
			ctx.End()
		}
		s.cfg.Sweep(s)
		if s.Retired() && !s.cfg.InUse(s) {
			s.End(errRetired) // on the server it ends with its TTL
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

// AliveSince returns a time, no longer ago than age, from which the lease lives for a TTL. Callers at the
// same time share one keep-alive. The error is ErrGone if the server has said that the lease is gone.
func (s *Session) AliveSince(ctx context.Context, age time.Duration) (time.Time, error) {
	if start := s.confirmed(); time.Since(start) <= age && !s.IsDead() {
		return start, nil
	}
	return s.refresh(ctx)
}

func (s *Session) refresh(ctx context.Context) (time.Time, error) {
	s.mu.Lock()
	r := s.refreshing
	if r == nil {
		r = &refreshing{done: make(chan struct{})}
		s.refreshing = r
		// Detached from the caller, since others rely on it.
		if !s.conn.Go(func() { s.runRefresh(r) }) { //nolint:contextcheck // detached, as it says
			s.refreshing = nil
			s.mu.Unlock()
			return time.Time{}, cluster.ErrClosed
		}
	}
	s.mu.Unlock()
	select {
	case <-r.done:
		return r.start, r.err
	case <-s.dead:
		return time.Time{}, ErrGone
	case <-ctx.Done():
		return time.Time{}, context.Cause(ctx)
	case <-s.conn.Closing().Done():
		return time.Time{}, cluster.ErrClosed
	}
}

// runRefresh sends the keep-alive. If a member does not answer it asks the next, for a third of the TTL at
// the most.
func (s *Session) runRefresh(r *refreshing) {
	ctx := s.conn.Bound(context.Background(), s.TTL/3)
	defer ctx.End()
	for pause := s.TTL / 256; ; pause *= 2 {
		r.start, r.err = s.keepAlive(ctx)
		if r.err == nil || !errors.Is(r.err, driver.ErrUnavailable) || errors.Is(r.err, ErrGone) || !cluster.Sleep(ctx, pause) {
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
	case errors.Is(r.err, ErrGone):
		s.End(ErrForgotten)
	case s.conn.Closed():
	case r.err != nil:
		s.conn.Contact.Lost(r.err)
	default:
		s.conn.Contact.Reached()
	}
}

// keepAlive extends the lease. The answer to a keep-alive does not go through Raft. A member that was the
// leader, and does not know yet that it is not any more, answers it, too (etcd#15247), and the true leader
// ends the lease all the same; and etcd 3.7 answers for a lease whose end is decided, but not carried out
// yet. So we read the epoch key afterwards, which a majority has to confirm, and take the answer only if the
// epoch key is still there, in the same term: then there was no later leader when the lease was extended, and
// no earlier end of the lease.
func (s *Session) keepAlive(ctx context.Context) (time.Time, error) {
	e, err := s.sendKeepAlive(ctx)
	if err != nil {
		return e.start, s.conn.DetachedError(err)
	}
	if e.left < 0 {
		return e.start, ErrGone
	}
	epochKey, err := cluster.Read(ctx, s.conn, s.TTL, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return s.conn.Client.Get(ctx, s.EpochKey)
	})
	switch {
	case err != nil && ctx.Err() != nil: // which is ours
		return e.start, s.conn.DetachedError(err)
	case err != nil:
		return e.start, err
	case len(epochKey.Kvs) == 0:
		return e.start, ErrGone
	case epochKey.Header.RaftTerm != e.term:
		return e.start, fmt.Errorf("%w: etcd: the leader changed while the lease was renewed", driver.ErrUnavailable)
	}
	s.SawEpoch(epochKey.Kvs[0].ModRevision)
	// What is left may be less than the TTL: then it counts from so much earlier.
	return e.start.Add(min(e.left-s.TTL, 0)), nil
}
