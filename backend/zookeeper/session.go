package zookeeper

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
)

// session is one session with the ensemble. All claims of a TTL class share it, and
// what the server makes of it is made of all of them: it lives while it is heard of,
// and takes its nodes along when it dies.
//
// One session is one *zk.Conn. Left to itself, a Conn whose session has expired opens
// another, and what was still queued in it, a create say, is carried out there. Ours
// lets no second one come: link.refuse is called before go-zookeeper could connect
// again. So whatever a request of this session did was done in this session, and is
// gone with it. With an application's Conn that cannot be had; there EphemeralOwner
// tells.
type session struct {
	backend *backend
	class   time.Duration // 0: an application's connection
	conn    conn
	link    *link           // nil: an application's connection
	hosts   *hosts          // nil like link
	events  <-chan zk.Event // closed when the Conn has ended; nil like link
	ready   chan struct{}   // closed when it can be used, or failed
	dead    chan struct{}   // closed when the server has said that it is no more
	wakeups chan struct{}   // has the keeper look again; capacity 1
	alarm   *time.Timer     // the same, at wakeAt
	batch   batch

	// The rest is guarded by backend.mu.
	id              int64
	failure         error // why it will never be ready
	connected       chan struct{}
	connectionCount int // how many there were so far
	isDead          bool
	timeout         time.Duration // an application's connection: as it says
	confirmed       time.Time     // see confirm
	attempts        map[*attempt]struct{}
	waiters         int // claims that wait
	deletions       int // deletions that the keeper has begun
	settingWatches  bool
	due             dueHeap
	wakeAt          time.Time // when alarm is set for
	watches         map[string]*watch
	barriers
}

func newSession(b *backend, class time.Duration) *session {
	s := &session{
		backend: b, class: class,
		ready: make(chan struct{}), dead: make(chan struct{}), wakeups: make(chan struct{}, 1),
		alarm: time.NewTimer(idleSleep), wakeAt: time.Now().Add(idleSleep),
		connected: make(chan struct{}),
		attempts:  make(map[*attempt]struct{}),
		watches:   make(map[string]*watch),
	}
	s.batch.session, s.batch.creating = s, make(map[string]bool)
	return s
}

// connectLocked begins a session of its own. Call with mu held: the events of the
// connection wait until all is set.
func (b *backend) connectLocked(class, timeout time.Duration) (*session, error) {
	s := newSession(b, class)
	s.link = &link{tls: b.config.tls, contact: b.contact, handshake: max(min(timeout/6, probeTimeout-time.Second/2), time.Second)}
	s.hosts = &hosts{link: s.link, history: b.servers}
	s.link.hosts = s.hosts
	c, events, err := zk.Connect(b.config.hosts, timeout,
		zk.WithDialer(s.link.dial), zk.WithHostProvider(s.hosts), zk.WithEventCallback(s.onEvent),
		zk.WithLogger(noLog{}), zk.WithLogInfo(false))
	if err != nil {
		return nil, err
	}
	s.conn, s.events = c, events
	return s, nil
}

// ttl is what each grant of the session gets.
func (s *session) ttl() time.Duration {
	if s.link == nil {
		return s.timeout - relayLag
	}
	return s.link.timeout() - relayLag
}

// onEvent takes in what go-zookeeper tells, on its own goroutine.
func (s *session) onEvent(ev zk.Event) {
	switch ev.Type {
	case zk.EventSession:
		switch ev.State {
		case zk.StateHasSession:
			s.onConnected()
		case zk.StateExpired:
			s.die()
		case zk.StateAuthFailed:
			s.backend.contact.Warn("ZooKeeper refuses the user and the password")
		}
	case zk.EventNodeDeleted, zk.EventNodeDataChanged:
		s.fire(ev.Path, ev.Type == zk.EventNodeDeleted)
	}
}

func (s *session) onConnected() {
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	s.connectionCount++
	if s.connectionCount == 1 {
		close(s.connected)
	}
}

// die takes in that the session has expired: all its claims are gone for certain,
// and their holders are told.
//
// Death against a grant that is being made: each holds the lock when it decides. A
// grant that was first is told of its loss here. One that comes later finds its claim
// gone, and is none.
func (s *session) die() {
	b := s.backend
	b.mu.Lock()
	if s.isDead {
		b.mu.Unlock()
		return
	}
	s.isDead = true
	close(s.dead)
	if b.sessions[s.class] == s {
		delete(b.sessions, s.class)
	}
	var tell []func(error)
	if n := len(s.attempts); n > 0 && !b.closed {
		b.contact.Warn("the session with ZooKeeper has expired, and with it its locks and its places in queues", "claims", n)
	}
	for a := range s.attempts {
		if a.phase == held && a.lost != nil {
			tell = append(tell, a.lost)
		}
		b.forgetLocked(a)
	}
	clear(s.watches)
	b.mu.Unlock()
	if s.link != nil {
		s.link.refuse()
	}
	for _, lost := range tell {
		lost(errSessionEnded)
	}
}

// alive reports whether this is still the session of its connection: that of an
// application goes on with another one, and tells nobody.
func (s *session) alive() bool {
	if s.link == nil && s.conn.SessionID() != s.id {
		s.die()
	}
	select {
	case <-s.dead:
		return false
	default:
		return true
	}
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

// tooShort is the error of a server that grants less than was asked for.
func (s *session) tooShort(got time.Duration) error {
	return fmt.Errorf("%w: a lease of %v needs a session of %v, and the server grants %v: raise its maxSessionTimeout, "+
		"on all servers alike", driver.ErrUnsupported, s.class, s.class+relayLag, got)
}
