// Package session has the sessions of a client with a ZooKeeper ensemble: their connections, their
// life, and what is asked in them. It knows no attempts. The backend gives each session a [Keeper],
// which the session calls when something happens.
package session

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver/batch"
)

// relayLag is how much longer a session lives than the leases on it. A server tells the leader of
// the sessions that it has heard from every half tick. So if the server dies, the leader's count
// begins up to half a tick before the last contact. One second covers a tickTime of up to 2 s,
// which is the default.
const relayLag = time.Second

// The shortest and the longest TTL. Ticks make shorter ones of little use.
const (
	MinTTL = time.Second
	MaxTTL = 24 * time.Hour
)

// Session is one session with the ensemble. All that is made in it shares its fate: it
// lives while the server hears of it, and takes its nodes along when it dies.
//
// One session is one *zk.Conn. Left to itself, a Conn whose session has expired opens another
// session, and carries out there what was still queued, a create say. Ours prevents that:
// Link.refuse is called before go-zookeeper could connect again. So whatever a request of this
// session did was done in this session, and is gone with it (0072).
type Session struct {
	Conn // for requests that only read, or that need no proof that the session lives; see Transact
	barriers
	watches
	Batch batch.Sender[[]any, []zk.MultiResponse] // for transactions of many callers, see newSession

	pool    *Pool
	keeper  Keeper
	ttl     time.Duration // that it was made for; see TTL for what the server has made of it
	link    *Link
	events  <-chan zk.Event // closed when the Conn has ended
	ready   chan struct{}   // closed when the session can be used, or has failed
	dead    chan struct{}   // closed when the server has said that the session is gone
	alarm   alarm
	id      int64 // set before ready is closed, like the next
	failure error // why it will never be ready

	connected chan struct{} // closed with the first connection
	isDead    atomic.Bool
}

func newSession(p *Pool, ttl time.Duration) *Session {
	s := &Session{
		pool: p, ttl: ttl,
		ready: make(chan struct{}), dead: make(chan struct{}), connected: make(chan struct{}),
	}
	s.alarm.timer = time.NewTimer(idleSleep)
	s.alarm.clear()
	s.barriers = barriers{session: s}
	s.watches = watches{session: s, byPath: make(map[string]*Watch)}
	s.initBatch()
	s.keeper = p.config.Keeper(s)
	return s
}

// Keeper returns what the pool's Config.Keeper has made.
func (s *Session) Keeper() Keeper { return s.keeper }

// run is the life of a session, on a goroutine of its own.
func (s *Session) run() {
	err := s.open()
	if err == nil && s.link.timeout() < s.ttl+relayLag {
		err = s.tooShort(s.link.timeout())
	}
	if err != nil {
		s.failure = err
		s.pool.forget(s)
	}
	close(s.ready)
	if err == nil {
		s.keepAlive()
	}
	s.close()
}

// TTL is that of the leases on the session.
func (s *Session) TTL() time.Duration { return s.link.timeout() - relayLag }

// Owns reports whether the session has made a node, of which this is the state.
func (s *Session) Owns(st *zk.Stat) bool { return st.EphemeralOwner == s.id }

// onEvent handles an event of go-zookeeper, on go-zookeeper's goroutine.
func (s *Session) onEvent(ev zk.Event) {
	switch ev.Type {
	case zk.EventSession:
		switch ev.State {
		case zk.StateHasSession:
			if s.connectedAgain() == 1 {
				close(s.connected)
			}
		case zk.StateExpired:
			s.die()
		case zk.StateAuthFailed:
			s.pool.config.Contact.Warn("ZooKeeper refuses the user and the password")
		}
	case zk.EventNodeDeleted, zk.EventNodeDataChanged:
		s.fire(ev.Path, ev.Type == zk.EventNodeDeleted)
	}
}

// die notes that the session has expired. A caller that has found it alive looked
// before that, and the Keeper is told.
func (s *Session) die() {
	if s.Retire() {
		s.dropWatches()
		s.link.refuse()
		s.keeper.Died()
	}
}

// Retire ends a session that is not needed any more, as an expiry would, but tells nobody. It
// reports false if the session was dead.
func (s *Session) Retire() bool {
	if s.isDead.Swap(true) {
		return false
	}
	close(s.dead)
	s.pool.forget(s)
	return true
}

// Dead is closed when the session is.
func (s *Session) Dead() <-chan struct{} { return s.dead }

// Alive reports whether the server has not said that the session is gone.
func (s *Session) Alive() bool {
	select {
	case <-s.dead:
		return false
	default:
		return true
	}
}

// closeSessionTimeout is how long a server may take to answer that a session ends.
const closeSessionTimeout = 500 * time.Millisecond

// close ends the connection. A session that nothing has to outlive ends with it, and the server
// frees all that is left of it at once. Any other lives on until its timeout. go-zookeeper would
// end it, and so is kept from sending anything more.
func (s *Session) close() {
	timeout := closeSessionTimeout
	if s.keeper.Holds() {
		s.link.dropWrites()
		timeout = 0
	} else if s.State() != zk.StateHasSession {
		timeout = 0 // there is nobody to tell
	}
	// Close of go-zookeeper waits for an answer, or until the connection is cut. If the
	// connection is cut before it has asked, it waits for a second, for nothing; so it does that
	// on a goroutine of its own.
	closed := make(chan struct{})
	go func() {
		s.Close()
		close(closed)
	}()
	timer := time.NewTimer(timeout + 10*time.Millisecond)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
	}
	s.link.refuse()
	for range s.events {
	}
}

// noAnswer is the answer to a deletion. Nobody writes to it.
var noAnswer [1]zk.MultiResponse

// Transact sends one transaction. Its operations are all carried out, or none. If they are, the
// session was alive, see confirm. A deletion alone goes as a request of its own, which go-zookeeper
// encodes with a third of the allocations, and has no answer but an error.
func (s *Session) Transact(ops []any) (answer []zk.MultiResponse, err error) {
	sent := time.Now()
	if d, ok := ops[0].(*zk.DeleteRequest); ok && len(ops) == 1 {
		answer, err = noAnswer[:], s.Delete(d.Path, d.Version)
	} else {
		answer, err = s.Multi(ops...)
	}
	switch {
	case err == nil:
		s.confirm(sent)
	case errors.Is(err, zk.ErrSessionExpired) && s.isLocal():
		err = errLocal
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
func (s *Session) isLocal() bool {
	if !s.Alive() {
		return false
	}
	_, _, err := s.Exists(s.pool.config.Root)
	return err == nil && s.Alive()
}

// CatchUp has this client's server catch up with the leader, so that a look shows what others
// have been told was done.
func (s *Session) CatchUp(ctx context.Context, timeout time.Duration) error {
	_, err := Ask(ctx, s, timeout, func() (string, error) { return s.Sync(s.pool.config.Root) })
	return err
}
