package zookeeper

import (
	"context"
	"fmt"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver/attempts"
)

// relayLag is how much longer a session lives than the leases on it. A server tells the leader of
// the sessions that it has heard from every half tick. So if the server dies, the leader's count
// begins up to half a tick before the last contact. One second covers a tickTime of up to 2 s,
// which is the default.
const relayLag = time.Second

// The shortest and the longest TTL. Ticks make shorter ones of little use.
const (
	minTTL = time.Second
	maxTTL = 24 * time.Hour
)

// longestClass returns the longest TTL whose class has a session of at most the given timeout.
func longestClass(timeout time.Duration) time.Duration {
	return attempts.LongestSessionTTL(min(timeout-relayLag, maxTTL))
}

// openTimeout bounds how long a caller waits for a session. The session goes on connecting after
// that.
const openTimeout = 3 * time.Second

// sessionFor returns the session for a TTL. It opens the session if there is none.
func (b *backend) sessionFor(ctx context.Context, ttl time.Duration) (*session, error) {
	timer := time.NewTimer(openTimeout)
	defer timer.Stop()
	for {
		s, err := b.currentSession(attempts.SessionTTL(ttl))
		if err != nil {
			return nil, err
		}
		select {
		case <-s.ready:
		case <-s.dead:
		case <-ctx.Done():
			return nil, s.endedBefore(ctx)
		case <-b.closing.Done():
			return nil, errClosed
		case <-timer.C:
			return nil, s.unreachable()
		}
		if s.failure != nil { // set before ready was closed
			return nil, s.failure
		}
		if s.alive() {
			return s, nil
		}
	}
}

// currentSession returns the session of a class, ready or not.
func (b *backend) currentSession(class time.Duration) (*session, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errClosed
	}
	if s := b.sessions[class]; s != nil {
		return s, nil
	}
	return b.connectLocked(class, class+relayLag)
}

// connectLocked begins a session. Call with mu held, which the events of the connection wait for.
func (b *backend) connectLocked(class, timeout time.Duration) (*session, error) {
	s := newSession(b, class)
	s.link = &link{tls: b.config.tls, contact: b.contact, handshake: max(min(timeout/6, probeTimeout-time.Second/2), time.Second)}
	s.hosts = &hosts{link: s.link, history: b.servers}
	s.link.hosts = s.hosts
	var err error
	if s.conn, s.events, err = b.config.connect(b.config.hosts, timeout, s); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoSession, err)
	}
	b.sessions[class] = s
	b.running.Go(s.run)
	return s, nil
}

// newConn makes the *zk.Conn of a session.
func newConn(servers []string, timeout time.Duration, s *session) (conn, <-chan zk.Event, error) {
	return zk.Connect(servers, timeout,
		zk.WithDialer(s.link.dial), zk.WithHostProvider(s.hosts), zk.WithEventCallback(s.onEvent),
		zk.WithLogger(noLog{}), zk.WithLogInfo(false))
}

// unreachable says what the last attempt to connect has met.
func (s *session) unreachable() error {
	if why := s.link.lastFailure(); why != nil {
		return fmt.Errorf("%w: %w", errNoSession, why)
	}
	return errNoAnswer
}

// endedBefore is the error of a context that ended while the session was connecting. It also says
// what the last attempt to connect has met.
func (s *session) endedBefore(ctx context.Context) error {
	if s.link.lastFailure() == nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %w", context.Cause(ctx), s.unreachable())
}

// firstContact waits until a session is ready, or failed, or all servers have been
// tried once. If ctx ends first, the error also says what was met so far.
func (s *session) firstContact(ctx context.Context) error {
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-s.ready:
			return nil
		case <-ctx.Done():
			return s.endedBefore(ctx)
		case <-look.C:
			if s.hosts.exhausted() {
				return s.unreachable()
			}
		}
	}
}

// open waits until the session can be used.
func (s *session) open() error {
	select {
	case <-s.connected:
	case <-s.dead:
		return errExpired
	case <-s.backend.closing.Done():
		return errClosed
	}
	s.id = s.conn.SessionID() // nobody else reads it before ready is closed
	if s.backend.config.auth == nil {
		return nil
	}
	for {
		// go-zookeeper repeats it after each reconnect.
		_, err := ask(s.backend.closing, s, openTimeout, func() (struct{}, error) {
			return struct{}{}, s.conn.AddAuth("digest", s.backend.config.auth)
		})
		switch {
		case err == nil:
			return nil
		case answered(err):
			return fmt.Errorf("user and password: %w", err)
		case !s.alive():
			return errExpired
		case s.backend.closing.Err() != nil:
			return errClosed
		}
	}
}

// adminSession returns a session that is open, or opens one.
func (b *backend) adminSession(ctx context.Context) (*session, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return b.sessionFor(ctx, b.anyClass())
}

// anyClass returns the class of a session that is open, or one to open a session for.
func (b *backend) anyClass() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	best := time.Duration(0)
	for class, s := range b.sessions {
		select {
		case <-s.ready:
			// The one with the shortest TTL notices first that its server is gone.
			if best == 0 || class < best {
				best = class
			}
		default:
		}
	}
	if best == 0 {
		best = min(adminTTL, b.info.MaxTTL)
	}
	return best
}

// anySession returns a session that is open; nil if there is none.
func (b *backend) anySession() *session {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sessions {
		select {
		case <-s.ready:
			if s.failure == nil && !s.isDead {
				return s
			}
		default:
		}
	}
	return nil
}
