// Package session keeps leases of etcd alive, one for all locks with about the same TTL. It tells by
// callbacks, see [Config], what happens to them. It knows no lock, and nothing of who holds one.
package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"

	"github.com/fencelock/fencelock/backend/etcd/internal/cluster"
	"github.com/fencelock/fencelock/driver"
)

// Session is one lease of etcd, shared by all claims with about the same TTL. maintain keeps it alive until
// the connection is closed, so that a lock costs one write and no lease of its own.
//
// A session has a key, the epoch key, which is attached to the lease like all claims. Every request that
// makes a claim is conditional on the revision of the epoch key, the epoch. So one write to the epoch key
// keeps out whatever is still on its way: the packets of an attempt that was given up may arrive long after
// it has been released, and nothing would end their claim as long as the session lives. Evictions are also
// written to the epoch key, and it ends with the session: one watch tells both.
type Session struct {
	ID       clientv3.LeaseID
	EpochKey string
	TTL      time.Duration // as the server has granted it

	cfg  *Config
	conn *cluster.Conn
	dead chan struct{} // closed when the server has said that the lease is gone
	wake chan struct{} // tells maintain that there is something to delete

	lifetime    context.Context // ends when the session does
	endLifetime context.CancelFunc

	retired atomic.Bool // no new claims: see Retire

	mu         sync.Mutex
	epoch      int64     // revision of the epoch key
	start      time.Time // the lease lives, at the least, for TTL from here
	refreshing *refreshing
	die        sync.Once

	// Of the keep-alive that is under way, which is one at a time.
	alive *keepAliveStream // nil: none is open
}

// Config says what sessions work with, and what is done when something happens to one. The functions are
// called without a lock, and may call the session's methods.
type Config struct {
	Conn     *cluster.Conn
	EpochKey func(clientv3.LeaseID) string

	Died    func(s *Session, why error)                        // the lease is gone, and with it every claim; called once, and IsDead before
	Evicted func(s *Session, attemptID string, revision int64) // an operator has deleted a claim of this attempt, then
	Recheck func(s *Session)                                   // evictions may have been missed: the watch has begun, once more
	Sweep   func(s *Session)                                   // at each tick, and after Wake: time to delete claims
	InUse   func(s *Session) bool                              // whether the session has claims
}

// ErrForgotten is why a grant or a session is lost.
var ErrForgotten = errors.New("the server does not know it any more (did the session expire, or somebody delete the key?)")

// ErrGone is the error of a request that needs a session which has ended.
var ErrGone = fmt.Errorf("%w: etcd: the session's lease is gone", driver.ErrUnavailable)

// grant grants a lease and makes its epoch key. If an answer is lost, what was made ends with the TTL.
func (c *Config) grant(ttl time.Duration) (*Session, error) {
	// The first request may have to wait for a connection, which has its own time.
	ctx := c.Conn.Bound(context.Background(), max(driver.RequestTimeout(ttl), cluster.ConnectTimeout))
	defer ctx.End()
	if c.Conn.Proxied {
		ttl = max(ttl, ProxiedTTL)
	}
	start := time.Now()
	lease, err := c.Conn.Client.Grant(ctx, int64(ttl/time.Second))
	if err != nil {
		return nil, c.Conn.DetachedError(fmt.Errorf("making a lease: %w", err))
	}
	c.Conn.RoundTrip.Store(int64(time.Since(start)))
	if lease.TTL < int64(ttl/time.Second) {
		return nil, fmt.Errorf("etcd: the server has made a lease of %d s in place of %v", lease.TTL, ttl)
	}
	s := &Session{
		cfg: c, conn: c.Conn, ID: lease.ID, EpochKey: c.EpochKey(lease.ID),
		TTL:  time.Duration(lease.TTL) * time.Second,
		dead: make(chan struct{}), wake: make(chan struct{}, 1),
		start: start,
	}
	made, err := c.Conn.Client.Put(ctx, s.EpochKey, "", clientv3.WithLease(s.ID))
	if err != nil {
		return nil, c.Conn.DetachedError(fmt.Errorf("making %s: %w", s.EpochKey, err))
	}
	s.epoch = made.Header.Revision
	s.lifetime, s.endLifetime = context.WithCancel(c.Conn.Closing())
	return s, nil
}

// Dead is closed when the server has said that the lease is gone. Died is called after that.
func (s *Session) Dead() <-chan struct{} { return s.dead }

// IsDead reports whether the server has said that the lease is gone.
func (s *Session) IsDead() bool {
	select {
	case <-s.dead:
		return true
	default:
		return false
	}
}

// End notes that the server has said that the lease is gone, and with it every claim. When it returns, Died
// has been called.
func (s *Session) End(why error) {
	s.die.Do(func() {
		close(s.dead)
		s.endLifetime()
		s.cfg.Died(s, why)
	})
}

// Retire makes the session end with its last claim. The session has a claim on the server that cannot
// be deleted, since the server refuses that for good (somebody took the permission away, say). Only
// the end of the lease ends that claim.
func (s *Session) Retire() { s.retired.Store(true) }

// Retired reports whether Retire was called.
func (s *Session) Retired() bool { return s.retired.Load() }

// Wake has Sweep called soon.
func (s *Session) Wake() {
	select {
	case s.wake <- struct{}{}:
	default: // it is awake already
	}
}

// Epoch is the revision of the epoch key, as far as this client knows.
func (s *Session) Epoch() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

// SawEpoch notes a revision of the epoch key.
func (s *Session) SawEpoch(revision int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch = max(s.epoch, revision)
}

// confirmed is the last time from which the lease is known to live for a TTL.
func (s *Session) confirmed() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.start
}

// watchEpoch watches the epoch key of a session, which tells of evictions and of the end of
// the lease, until the session is dead or the connection closed.
func (s *Session) watchEpoch() {
	for failures := 0; ; failures++ {
		ctx, stream := s.conn.WatchContext(s.lifetime)
		events := s.conn.Client.Watch(ctx, s.EpochKey, clientv3.WithCreatedNotify())
		for r := range events {
			if err := r.Err(); err != nil {
				s.conn.WatchEnded(stream, err)
				if cluster.CodeOf(err) == codes.PermissionDenied {
					s.conn.Contact.Warn("etcd refuses the watch by which evictions are told: they will be noticed by the next renewal", "err", err)
				}
				break
			}
			if r.Created {
				// The watch misses what happened before it began: ask about all.
				failures = 0
				s.cfg.Recheck(s)
			}
			s.onEpochEvents(r.Events)
		}
		if s.IsDead() || !cluster.Sleep(ctx, min(s.TTL/12, 10*time.Millisecond<<min(failures, 8))) {
			return
		}
	}
}

func (s *Session) onEpochEvents(events []*clientv3.Event) {
	for _, e := range events {
		if e.Type == clientv3.EventTypeDelete {
			s.End(ErrForgotten)
			return
		}
		s.SawEpoch(e.Kv.ModRevision)
		if len(e.Kv.Value) > 0 {
			s.cfg.Evicted(s, string(e.Kv.Value), e.Kv.ModRevision)
		}
	}
}
