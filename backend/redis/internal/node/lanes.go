package node

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver/address"
)

// lanes are the connections that a few goroutines share: each takes one for a command,
// and puts it back.
//
// To make a connection has a time of its own, for with TLS and a login it takes several
// round trips, while a request must be over within a third of a TTL. A request waits for
// a connection for as long as it may take itself, and fails; the connection goes on being
// made, and the next request finds it, or joins in waiting.
type lanes struct {
	conf     goredis.Options
	closing  context.Context
	stop     context.CancelFunc
	connects sync.WaitGroup
	contact  *address.Contact // nil in tests
	seen     *seen
	tellBoot bool

	mu         sync.Mutex
	all        map[*lane]struct{}
	free       []*lane     // the last one was used last
	wanting    []chan made // those who wait for a lane, each with room for one
	connecting int         // never fewer than those who wait
	closed     bool
}

// made is a lane, or why there is none.
type made struct {
	lane *lane
	err  error
}

// newLanes makes lanes that are closed when closing ends.
func newLanes(closing context.Context, conf goredis.Options) *lanes {
	s := &lanes{conf: conf, seen: new(seen), all: make(map[*lane]struct{})}
	s.closing, s.stop = context.WithCancel(closing)
	context.AfterFunc(s.closing, s.cut) //nolint:contextcheck // it is the end of all of them
	return s
}

// process runs a command on a lane; see lane.process.
func (s *lanes) process(ctx context.Context, timeout time.Duration, cmd goredis.Cmder) error {
	now := time.Now()
	l, waited, err := s.take(ctx, now, timeout)
	if err != nil {
		return err
	}
	if waited {
		// Another full timeout: a request that is given up for want of a little time
		// costs the connection as well, which would then be made again and again.
		now = time.Now()
	}
	err = l.process(ctx, now, timeout, cmd)
	s.put(l)
	return s.reason(err)
}

// reason is the error of a command, or that we were closed if that is what ended it.
func (s *lanes) reason(err error) error {
	if err == nil || s.closing.Err() == nil || errors.Is(err, ErrNotSent) {
		return err
	}
	var reply goredis.Error
	if errors.As(err, &reply) {
		return err
	}
	return goredis.ErrClosed
}

// take returns a lane that is free, or waits for one until timeout has passed or ctx
// ends.
func (s *lanes) take(ctx context.Context, now time.Time, timeout time.Duration) (l *lane, waited bool, err error) {
	for {
		s.mu.Lock()
		if s.closed {
			s.mu.Unlock()
			return nil, false, goredis.ErrClosed
		}
		n := len(s.free)
		if n == 0 {
			break
		}
		l = s.free[n-1]
		s.free = s.free[:n-1]
		s.mu.Unlock()
		if s.current(l) && (!isIdle(l, now) || l.open()) {
			return l, false, nil
		}
		s.drop(l)
	}
	got := make(chan made, 1)
	s.wanting = append(s.wanting, got)
	if s.connecting < len(s.wanting) {
		s.connectLocked()
	}
	s.mu.Unlock()

	patience := time.NewTimer(timeout)
	defer patience.Stop()
	select {
	case m := <-got:
		return m.lane, true, m.err
	case <-patience.C:
		err = tooLate("no connection", timeout, time.Duration(s.seen.trip.Load()))
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	s.mu.Lock()
	if i := slices.Index(s.wanting, got); i >= 0 {
		s.wanting = slices.Delete(s.wanting, i, i+1)
		s.mu.Unlock()
		return nil, true, err
	}
	s.mu.Unlock()
	m := <-got // it came at the last moment
	return m.lane, true, m.err
}

// current reports whether a lane leads to the process that was met last. One that is older is dead,
// though this machine may not have been told.
func (s *lanes) current(l *lane) bool { return !s.tellBoot || l.boot == *s.seen.boot.Load() }

// warm makes a connection in advance.
func (s *lanes) warm() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.connectLocked()
	}
}

// connectLocked begins to make a connection. It needs s.mu.
func (s *lanes) connectLocked() {
	s.connecting++
	s.connects.Go(func() {
		l, err := connect(s.closing, s.conf, s.tellBoot)
		s.tell(err)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.connecting--
		switch {
		case s.closed:
			if err == nil {
				l.close()
			}
		case err != nil:
			if len(s.wanting) > 0 {
				s.serveLocked(made{err: err})
			}
		default:
			s.seen.trip.Store(int64(l.trip))
			s.seen.boot.Store(&l.boot)
			s.all[l] = struct{}{}
			s.freeLocked(l)
		}
	})
}

// tell tells the log what has become of a connection.
func (s *lanes) tell(err error) {
	switch {
	case s.contact == nil, s.closing.Err() != nil:
	case err != nil:
		var reply goredis.Error
		if errors.As(err, &reply) {
			_, err = withoutArguments(reply, err) // one may be the password
		}
		s.contact.Lost(err)
	default:
		s.contact.Reached()
	}
}

// put gives a lane back. If the other side has closed it (it was idle, the server is
// restarted, a proxy turns to another one), it has most likely closed the others as well:
// those that are free go, too, so that the next request has a new one.
func (s *lanes) put(l *lane) {
	if !l.broken() && s.current(l) {
		s.mu.Lock()
		s.freeLocked(l)
		s.mu.Unlock()
		return
	}
	gone := []*lane{l}
	if l.wasLeft() {
		s.mu.Lock()
		gone = append(gone, s.free...)
		s.free = nil
		s.mu.Unlock()
	}
	for _, l := range gone {
		s.drop(l)
	}
}

func (s *lanes) drop(l *lane) {
	s.mu.Lock()
	delete(s.all, l)
	s.mu.Unlock()
	l.close()
}

// freeLocked gives a lane to the one who has waited longest, or keeps it.
func (s *lanes) freeLocked(l *lane) {
	if len(s.wanting) > 0 {
		s.serveLocked(made{lane: l})
	} else {
		s.free = append(s.free, l)
	}
}

func (s *lanes) serveLocked(m made) {
	s.wanting[0] <- m
	s.wanting = slices.Delete(s.wanting, 0, 1)
}

// cut ends all that is under way, and lets nothing begin.
func (s *lanes) cut() {
	s.stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for len(s.wanting) > 0 {
		s.serveLocked(made{err: goredis.ErrClosed})
	}
	for _, l := range s.free {
		delete(s.all, l)
		l.close()
	}
	for l := range s.all {
		l.hangUp() // whoever uses it closes it
	}
	s.all, s.free = nil, nil
}
