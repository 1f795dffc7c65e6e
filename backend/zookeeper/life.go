package zookeeper

import (
	"context"
	"fmt"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver/claims"
)

// openTimeout bounds the wait for a session of whoever needs one. The session goes
// on connecting after that.
const openTimeout = 3 * time.Second

// sessionFor returns the session for a TTL, which it opens if there is none.
func (b *backend) sessionFor(ctx context.Context, ttl time.Duration) (*session, error) {
	timer := time.NewTimer(openTimeout)
	defer timer.Stop()
	for {
		s, err := b.currentSession(claims.SessionTTL(ttl))
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
	if b.app != nil {
		class = 0
	}
	if s := b.sessions[class]; s != nil {
		return s, nil
	}
	var s *session
	if b.app != nil {
		s = newSession(b, 0)
		s.conn, s.timeout = b.app, b.config.timeout
	} else {
		var err error
		if s, err = b.connectLocked(class, class+relayLag); err != nil {
			return nil, fmt.Errorf("%w: %w", errNoSession, err)
		}
	}
	b.sessions[class] = s
	b.running.Go(s.run)
	return s, nil
}

// unreachable says what the last attempt to connect has met.
func (s *session) unreachable() error {
	if s.link != nil {
		if why := s.link.lastFailure(); why != nil {
			return fmt.Errorf("%w: %w", errNoSession, why)
		}
	}
	return errNoAnswer
}

// endedBefore is the error of a context that ended while the session was connecting, with what the
// last attempt has met.
func (s *session) endedBefore(ctx context.Context) error {
	if s.link == nil || s.link.lastFailure() == nil {
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

// live is the life of a session, on a goroutine of its own.
func (s *session) run() {
	err := s.open()
	if err == nil && s.link != nil && s.link.timeout() < s.class+relayLag {
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

// open waits until the session can be used.
func (s *session) open() error {
	if s.link == nil {
		return s.awaitAppSession()
	}
	select {
	case <-s.connected:
	case <-s.dead:
		return errExpired
	case <-s.backend.closing.Done():
		return errClosed
	}
	s.id = s.conn.SessionID() // nobody else looks before ready
	if s.backend.config.auth == nil {
		return nil
	}
	for {
		// go-zookeeper says it again after each reconnect, once it has been said.
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

// adopt waits until an application's connection has a session.
func (s *session) awaitAppSession() error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if s.id = s.conn.SessionID(); s.id != 0 && s.conn.State() == zk.StateHasSession {
			s.onConnected()
			return nil
		}
		select {
		case <-tick.C:
		case <-s.backend.closing.Done():
			return errClosed
		}
	}
}

// close ends the connection. A session without grants ends with it, and the server
// frees all that is left of it at once. Where there are grants it lives on until its
// timeout, since Close does not release: then go-zookeeper, which would end it, is made
// to send nothing more.
func (s *session) close() {
	if s.link == nil {
		s.deleteAfterClose()
		return
	}
	patience := closeSessionTimeout
	if s.hasGrants() {
		s.link.dropWrites()
		patience = 0
	} else if s.conn.State() != zk.StateHasSession {
		patience = 0 // there is nobody to tell
	}
	// Close of go-zookeeper waits for an answer, or until the connection is cut. If that comes
	// before it has asked it waits for a second, for nothing; nobody waits for that with it.
	closed := make(chan struct{})
	go func() {
		s.conn.Close()
		close(closed)
	}()
	timer := time.NewTimer(patience + 10*time.Millisecond)
	defer timer.Stop()
	select {
	case <-closed:
	case <-timer.C:
	}
	s.link.refuse()
	for range s.events {
	}
}

// farewell is how long a server may take to answer that a session ends.
const closeSessionTimeout = 500 * time.Millisecond

func (s *session) hasGrants() bool {
	s.backend.mu.Lock()
	defer s.backend.mu.Unlock()
	for a := range s.attempts {
		if a.phase == held {
			return true
		}
	}
	return false
}

// retire ends a session of which nothing is needed any more, as an expiry would.
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
