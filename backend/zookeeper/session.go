package zookeeper

import (
	"fmt"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// session is one session with the ensemble. All attempts of a TTL class share it and its fate: it
// lives while the server hears of it, and takes its nodes along when it dies.
//
// One session is one *zk.Conn. Left to itself, a Conn whose session has expired opens another
// session, and carries out there what was still queued, a create say. Ours prevents that:
// link.refuse is called before go-zookeeper could connect again. So whatever a request of this
// session did was done in this session, and is gone with it (0072).
type session struct {
	backend *backend
	class   time.Duration
	conn    conn
	link    *link
	hosts   *hosts
	events  <-chan zk.Event // closed when the Conn has ended
	ready   chan struct{}   // closed when the session can be used, or has failed
	dead    chan struct{}   // closed when the server has said that the session is gone
	wakeups chan struct{}   // has keepAlive look again; capacity 1
	alarm   *time.Timer     // the same, at wakeAt
	batch   batch

	// The rest is guarded by backend.mu.
	id              int64
	failure         error // why it will never be ready
	connected       chan struct{}
	connectionCount int // how many connections there were so far
	isDead          bool
	confirmed       time.Time // see confirm
	waiters         int       // attempts that wait
	deletions       int       // that keepAlive has begun
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
		watches:   make(map[string]*watch),
	}
	s.batch.session, s.batch.creating = s, make(map[string]bool)
	return s
}

// run is the life of a session, on a goroutine of its own.
func (s *session) run() {
	err := s.open()
	if err == nil && s.link.timeout() < s.class+relayLag {
		err = s.tooShort(s.link.timeout())
	}
	if err != nil {
		s.fail(err)
	} else {
		close(s.ready)
		s.keepAlive()
	}
	s.close()
}

func (s *session) fail(err error) {
	b := s.backend
	b.mu.Lock()
	s.failure = err
	if b.sessions[s.class] == s {
		delete(b.sessions, s.class)
	}
	b.mu.Unlock()
	close(s.ready)
}

// ttl is the TTL of each grant of the session.
func (s *session) ttl() time.Duration { return s.link.timeout() - relayLag }

// onEvent handles an event of go-zookeeper, on go-zookeeper's goroutine.
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

// die notes that the session has expired. All its claims are gone for certain, and their holders
// are told.
//
// Death against a grant that is being made: each holds backend.mu when it decides. A grant that
// was first is told of its loss here. A grant that comes later finds its attempt gone, and fails.
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
	claims := 0
	for a := range b.ledger.All() {
		if a.session != s {
			continue
		}
		claims++
		if lost := b.forgetLocked(a); lost != nil {
			tell = append(tell, lost)
		}
	}
	if claims > 0 && !b.closed {
		b.contact.Warn("the session with ZooKeeper has expired, and with it its locks and its positions in queues", "claims", claims)
	}
	clear(s.watches)
	b.mu.Unlock()
	s.link.refuse()
	for _, lost := range tell {
		lost(errSessionEnded)
	}
}

// alive reports whether the server has not said that the session is gone.
func (s *session) alive() bool {
	select {
	case <-s.dead:
		return false
	default:
		return true
	}
}

// tooShort is the error of a server that grants less than was asked for.
func (s *session) tooShort(got time.Duration) error {
	return fmt.Errorf("%w: a lease of %v needs a session of %v, and the server grants %v: raise its maxSessionTimeout, "+
		"on all servers alike", driver.ErrUnsupported, s.class, s.class+relayLag, got)
}

// close ends the connection. A session without grants ends with it, and the server frees all that
// is left of it at once. A session with grants lives on until its timeout, since Close does not
// release. go-zookeeper would end it, and so is kept from sending anything more.
func (s *session) close() {
	timeout := closeSessionTimeout
	if s.hasGrants() {
		s.link.dropWrites()
		timeout = 0
	} else if s.conn.State() != zk.StateHasSession {
		timeout = 0 // there is nobody to tell
	}
	// Close of go-zookeeper waits for an answer, or until the connection is cut. If the
	// connection is cut before it has asked, it waits for a second, for nothing; so it does that
	// on a goroutine of its own.
	closed := make(chan struct{})
	go func() {
		s.conn.Close()
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

// closeSessionTimeout is how long a server may take to answer that a session ends.
const closeSessionTimeout = 500 * time.Millisecond

func (s *session) hasGrants() bool {
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	for a := range s.backend.ledger.All() {
		if a.session == s && a.Phase() == attempts.Held {
			return true
		}
	}
	return false
}

// retire ends a session that is not needed any more, as an expiry would.
func (s *session) retire() {
	b := s.backend
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.isDead {
		return
	}
	s.isDead = true
	close(s.dead)
	if b.sessions[s.class] == s {
		delete(b.sessions, s.class)
	}
}
