package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/driver"
)

// maintain runs until the session is dead or the backend closed. It sends a keep-alive for the lease
// within each third of its TTL, unless the core's renewals were quicker, and deletes overdue claims.
func (s *session) maintain() {
	defer s.endLifetime()
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
		if s.isOver() {
			s.end(errRetired) // on the server it ends with its TTL
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

// aliveSince returns a time, no longer ago than age, from which the lease
// lives for a TTL. Callers at the same time share one keep-alive. The error is
// errSessionGone if the server has said that the lease is gone.
func (s *session) aliveSince(ctx context.Context, age time.Duration) (time.Time, error) {
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
		if !s.backend.goUnlessClosed(func() { s.runRefresh(r) }) { //nolint:contextcheck // detached, as it says
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

// runRefresh sends the keep-alive. If a member does not answer it asks the next, for a third
// of the TTL at the most.
func (s *session) runRefresh(r *refreshing) {
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
// same; and etcd 3.7 answers for a lease whose end is decided, but not carried out yet. So we
// read the epoch key afterwards, which a majority has to confirm, and take the answer
// only if the epoch key is still there, in the same term: then there was no later leader
// when the lease was extended, and no earlier end of the lease.
func (s *session) keepAlive(ctx context.Context) (time.Time, error) {
	e, err := s.sendKeepAlive(ctx)
	if err != nil {
		return e.start, s.backend.detachedError(err)
	}
	if e.left < 0 {
		return e.start, errSessionGone
	}
	epochKey, err := read(ctx, s.backend, s.ttl, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return s.backend.client.Get(ctx, s.epochKey)
	})
	switch {
	case err != nil && ctx.Err() != nil: // which is ours
		return e.start, s.backend.detachedError(err)
	case err != nil:
		return e.start, err
	case len(epochKey.Kvs) == 0:
		return e.start, errSessionGone
	case epochKey.Header.RaftTerm != e.term:
		return e.start, fmt.Errorf("%w: etcd: the leader changed while the lease was renewed", driver.ErrUnavailable)
	}
	s.sawEpoch(epochKey.Kvs[0].ModRevision)
	// What is left may be less than the TTL: then it counts from so much earlier.
	return e.start.Add(min(e.left-s.ttl, 0)), nil
}

// keepAliveStream is the stream on which a session is kept alive. It stays open from one keep-alive to
// the next, since to open one costs a login where the application's own client has a password. It
// ends when an answer is late, or its member has no leader; the next is opened at another member.
//
// At most one request of a stream is without an answer, and if that answer is late, the stream is
// thrown away with it. So an answer is never taken for that of a later request, and the grant never
// gets the later request's Start.
type keepAliveStream struct {
	pb.Lease_LeaseKeepAliveClient
	end context.CancelFunc
}

// openKeepAlive opens a stream, within ctx, that lives for as long as another context.
func (b *backend) openKeepAlive(ctx, living context.Context) (*keepAliveStream, error) {
	living, end := context.WithCancel(clientv3.WithRequireLeader(living))
	defer context.AfterFunc(ctx, end)() // if it has ended, so has the stream, and the first use fails
	s, err := pb.NewLeaseClient(b.client.ActiveConnection()).LeaseKeepAlive(living)
	if err != nil {
		end()
		return nil, rpctypes.Error(err)
	}
	return &keepAliveStream{s, end}, nil
}

// ask sends a keep-alive and returns its answer. If it fails, or ctx ends, the stream is over.
func (a *keepAliveStream) ask(ctx context.Context, id clientv3.LeaseID) (*pb.LeaseKeepAliveResponse, error) {
	stop := context.AfterFunc(ctx, a.end)
	_ = a.Send(&pb.LeaseKeepAliveRequest{ID: int64(id)}) // if it fails, Recv tells why
	answer, err := a.Recv()
	// If ctx has ended after the answer, that counts all the same; the next request fails.
	stop()
	if err != nil {
		a.end()
	}
	return answer, rpctypes.Error(err)
}

// leaseState is what a server has said of a lease: from a moment before it was asked, the lease
// lives for left at least, if the server led the cluster in that term. If left is negative, the lease is gone.
type leaseState struct {
	start time.Time
	left  time.Duration
	term  uint64
}

const leaseEnded = -1

// sendKeepAlive sends one keep-alive. Called by one goroutine at a time.
func (s *session) sendKeepAlive(ctx context.Context) (e leaseState, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.backend.memberTimeout(s.ttl))
	defer cancel()
	a := s.alive
	s.alive = nil
	if a == nil {
		if a, err = s.backend.openKeepAlive(ctx, s.lifetime); err != nil {
			return e, err
		}
	}
	e.start = time.Now()
	answer, err := a.ask(ctx, s.id)
	if err != nil {
		return e, err
	}
	if s.backend.proxied {
		a.end()
	} else {
		s.alive = a
	}
	switch {
	case answer.TTL <= 0:
		e.left = leaseEnded
	case s.backend.proxied:
		return s.askTimeToLive(ctx)
	default:
		e.term, e.left = answer.Header.RaftTerm, time.Duration(answer.TTL)*time.Second
	}
	return e, nil
}

// askTimeToLive asks how long the lease still lives. A proxy passes that question on, while its answer
// to a keep-alive may be older than the question. The answer is in whole
// seconds, cut. A leader that has just been elected tells more than any lease has.
func (s *session) askTimeToLive(ctx context.Context) (e leaseState, err error) {
	e.start = time.Now()
	answer, err := s.backend.client.TimeToLive(ctx, s.id)
	if err != nil {
		return e, err
	}
	e.term, e.left = answer.RaftTerm, time.Duration(min(answer.TTL, int64(s.ttl/time.Second)))*time.Second
	if answer.TTL < 0 {
		e.left = leaseEnded
	}
	return e, nil
}
