package session

import (
	"context"
	"fmt"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Longest is the longest TTL for which the server has a session, as it has told when this one
// began. It fails if that is less than MinTTL.
func (s *Session) Longest() (time.Duration, error) {
	timeout := s.link.timeout()
	if ttl := longestTTL(timeout); ttl >= MinTTL {
		return ttl, nil
	}
	return 0, fmt.Errorf("%w: the server's longest session is %v; set maxSessionTimeout to %v at least", driver.ErrUnsupported, timeout, MinTTL+relayLag)
}

// open waits until the session can be used.
func (s *Session) open() error {
	select {
	case <-s.connected:
	case <-s.dead:
		return ErrExpired
	case <-s.pool.Closing.Done():
		return ErrClosed
	}
	s.id = s.SessionID()
	if s.pool.config.Auth == nil {
		return nil
	}
	for {
		// go-zookeeper repeats it after each reconnect.
		err := s.Await(s.pool.Closing, s.pool.Start(func() error { return s.AddAuth("digest", s.pool.config.Auth) }), openTimeout)
		switch {
		case err == nil:
			return nil
		case Answered(err):
			return fmt.Errorf("user and password: %w", err)
		case !s.Alive():
			return ErrExpired
		case s.pool.Closing.Err() != nil:
			return ErrClosed
		}
	}
}

// tooShort is the error of a server that grants less than was asked for.
func (s *Session) tooShort(got time.Duration) error {
	return fmt.Errorf("%w: a lease of %v needs a session of %v, and the server grants %v: raise its maxSessionTimeout, "+
		"on all servers alike", driver.ErrUnsupported, s.ttl, s.ttl+relayLag, got)
}

// firstContact waits until a session is ready, or failed, or all servers have been
// tried once. If ctx ends first, the error also says what was met so far.
func (s *Session) firstContact(ctx context.Context) error {
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case <-s.ready:
			return nil
		case <-ctx.Done():
			return s.endedBefore(ctx)
		case <-look.C:
			if s.link.hosts.exhausted() {
				return s.unreachable()
			}
		}
	}
}

// unreachable says what the last attempt to connect has met.
func (s *Session) unreachable() error {
	if why := s.link.lastFailure(); why != nil {
		return fmt.Errorf("%w: %w", errNoSession, why)
	}
	return ErrNoAnswer
}

// endedBefore is the error of a context that ended while the session was connecting. It also says
// what the last attempt to connect has met.
func (s *Session) endedBefore(ctx context.Context) error {
	if s.link.lastFailure() == nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %w", context.Cause(ctx), s.unreachable())
}
