package etcd

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// session is one lease of etcd, shared by all claims with about the same TTL. maintain keeps it
// alive until the backend is closed, so that a lock costs one write
// and no lease of its own.
//
// A session has a key, the epoch key, which is attached to the lease like all claims. Every
// request that makes a claim is conditional on the revision of the epoch key, the epoch. So one
// write to the epoch key keeps out whatever is still on its way: the packets of an
// attempt that was given up may arrive long after it has been released, and nothing
// would end their claim as long as the session lives. Evictions are also written to the epoch key,
// and it ends with the session: one watch tells both.
type session struct {
	backend  *backend
	id       clientv3.LeaseID
	epochKey string
	ttl      time.Duration // as the server has granted it
	dead     chan struct{} // closed when the server has said that the lease is gone
	wake     chan struct{} // tells maintain that there is something to delete

	lifetime    context.Context // ends when the session does
	endLifetime context.CancelFunc

	retired atomic.Bool // no new claims: see retire

	// mu may be held when backend.mu is taken, and never the other way round.
	mu         sync.Mutex
	epoch      int64     // revision of the epoch key
	start      time.Time // the lease lives, at the least, for ttl from here
	refreshing *refreshing
	die        sync.Once

	// Of the keep-alive that is under way, which is one at a time.
	alive *keepAliveStream // nil: none is open
}

// opening is a session that is being made, or was.
type opening struct {
	done    chan struct{}
	session *session
	err     error
}

var errSessionGone = fmt.Errorf("%w: etcd: the session's lease is gone", driver.ErrUnavailable)

// session returns the session for leases of a TTL, made now if there is none.
func (b *backend) session(ctx context.Context, ttl time.Duration) (*session, error) {
	class := attempts.SessionTTL(ttl)
	b.mu.Lock()
	o := b.sessions[class]
	if o == nil || o.failed() {
		o = &opening{done: make(chan struct{})}
		if !b.goLocked(func() { b.openSession(o, class) }) { //nolint:contextcheck // detached, as it says
			b.mu.Unlock()
			return nil, errClosed
		}
		b.sessions[class] = o
	}
	b.mu.Unlock()
	select {
	case <-o.done:
		return o.session, o.err
	case <-ctx.Done():
		return nil, b.contextError(ctx)
	case <-b.closing.Done():
		return nil, errClosed
	}
}

// failed reports whether another session must be made.
func (o *opening) failed() bool {
	select {
	case <-o.done:
		return o.err != nil || o.session.isDead() || o.session.retired.Load()
	default:
		return false
	}
}

// openSession makes a session, and maintains it, detached from the callers who wait for
// it: a caller that gives up must not take the others with it.
func (b *backend) openSession(o *opening, class time.Duration) {
	o.session, o.err = b.newSession(class)
	close(o.done)
	if o.err == nil {
		var watching sync.WaitGroup
		watching.Go(o.session.watchEpoch)
		o.session.maintain()
		watching.Wait()
	}
}

// newSession grants a lease and makes its epoch key. If an answer is lost, what was
// made ends with the TTL.
func (b *backend) newSession(class time.Duration) (*session, error) {
	// The first request may have to wait for a connection, which has its own time.
	ctx, cancel := b.bound(context.Background(), max(driver.RequestTimeout(class), connectTimeout))
	defer cancel()
	if b.proxied {
		class = max(class, proxiedTTL)
	}
	start := time.Now()
	lease, err := b.client.Grant(ctx, int64(class/time.Second))
	if err != nil {
		return nil, b.detachedError(fmt.Errorf("making a lease: %w", err))
	}
	b.roundTrip.Store(int64(time.Since(start)))
	if lease.TTL < int64(class/time.Second) {
		return nil, fmt.Errorf("etcd: the server has made a lease of %d s in place of %v", lease.TTL, class)
	}
	s := &session{
		backend: b, id: lease.ID, epochKey: b.epochKeyOf(lease.ID),
		ttl:  time.Duration(lease.TTL) * time.Second,
		dead: make(chan struct{}), wake: make(chan struct{}, 1),
		start: start,
	}
	made, err := b.client.Put(ctx, s.epochKey, "", clientv3.WithLease(s.id))
	if err != nil {
		return nil, b.detachedError(fmt.Errorf("making %s: %w", s.epochKey, err))
	}
	s.epoch = made.Header.Revision
	s.lifetime, s.endLifetime = context.WithCancel(b.closing)
	return s, nil
}

func (s *session) isDead() bool {
	select {
	case <-s.dead:
		return true
	default:
		return false
	}
}

// retire makes the session end with its last claim. The session has a claim on the server that cannot
// be deleted, since the server refuses that for good (somebody took the permission away, say). Only
// the end of the lease ends that claim.
func (s *session) retire() { s.retired.Store(true) }

// isOver reports whether the session is retired, and has no claim left.
func (s *session) isOver() bool {
	if !s.retired.Load() {
		return false
	}
	b := s.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	for a := range b.ledger.All() {
		if a.session == s {
			return false
		}
	}
	return true
}

// end notes that the server has said that the lease is gone, and with it every claim.
func (s *session) end(why error) {
	s.die.Do(func() {
		close(s.dead)
		s.endLifetime()
		if n := s.backend.loseAll(s, why); n > 0 && s.backend.closing.Err() == nil {
			s.backend.contact.Warn("a lease with etcd has ended, and with it its locks and its positions in queues", "claims", n, "err", why)
		}
	})
}

func (s *session) currentEpoch() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

// sawEpoch notes a revision of the epoch key.
func (s *session) sawEpoch(revision int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch = max(s.epoch, revision)
}

// confirmed is the last time from which the lease is known to live for a TTL.
func (s *session) confirmed() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.start
}

// endIdleSessions revokes the leases that no claim needs. Called when nothing else
// runs any more.
func (b *backend) endIdleSessions() {
	busy := make(map[*session]bool)
	b.mu.Lock()
	for a := range b.ledger.All() {
		busy[a.session] = true
	}
	b.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var revoking sync.WaitGroup
	for _, o := range b.sessions {
		if s := o.session; s != nil && !busy[s] && !s.isDead() {
			// If it fails, the lease ends with its TTL.
			revoking.Go(func() { _, _ = b.client.Revoke(ctx, s.id) })
		}
	}
	revoking.Wait()
}
