package session

import (
	"context"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/etcd/internal/cluster"
)

// Sessions are those of one backend: one for each TTL. All of them end with the connection.
type Sessions struct {
	Config

	mu    sync.Mutex
	byTTL map[time.Duration]*opening
}

// opening is a session that is being made, or was.
type opening struct {
	done    chan struct{}
	session *Session
	err     error
}

// Get returns the session for leases of a TTL, made now if there is none.
func (all *Sessions) Get(ctx context.Context, ttl time.Duration) (*Session, error) {
	all.mu.Lock()
	o := all.byTTL[ttl]
	if o == nil || o.failed() {
		o = &opening{done: make(chan struct{})}
		if !all.Conn.Go(func() { all.open(o, ttl) }) { //nolint:contextcheck // detached, as it says
			all.mu.Unlock()
			return nil, cluster.ErrClosed
		}
		if all.byTTL == nil {
			all.byTTL = make(map[time.Duration]*opening)
		}
		all.byTTL[ttl] = o
	}
	all.mu.Unlock()
	select {
	case <-o.done:
		return o.session, o.err
	case <-ctx.Done():
		return nil, all.Conn.ContextError(ctx)
	case <-all.Conn.Closing().Done():
		return nil, cluster.ErrClosed
	}
}

// failed reports whether another session must be made.
func (o *opening) failed() bool {
	select {
	case <-o.done:
		return o.err != nil || o.session.IsDead() || o.session.Retired()
	default:
		return false
	}
}

// open makes a session, and maintains it, detached from the callers who wait for
// it: a caller that gives up must not take the others with it.
func (all *Sessions) open(o *opening, ttl time.Duration) {
	o.session, o.err = all.grant(ttl)
	close(o.done)
	if o.err == nil {
		var watching sync.WaitGroup
		watching.Go(o.session.watchEpoch)
		o.session.maintain()
		watching.Wait()
	}
}

// EndIdle revokes the leases that no claim needs, so that the server forgets them at once. Called when nothing else
// runs any more.
func (all *Sessions) EndIdle() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var revoking sync.WaitGroup
	all.mu.Lock() // a call of Get may be just noting what Close has ended
	for _, o := range all.byTTL {
		if s := o.session; s != nil && !s.IsDead() && !s.cfg.InUse(s) {
			// If it fails, the lease ends with its TTL.
			revoking.Go(func() { _, _ = all.Conn.Client.Revoke(ctx, s.ID) })
		}
	}
	all.mu.Unlock()
	revoking.Wait()
}
