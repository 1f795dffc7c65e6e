package session

import (
	"context"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver/address"
	"github.com/fencelock/fencelock/driver/attempts"
)

// Config is what the sessions of one client have in common.
type Config struct {
	Hosts   []string
	TLS     *address.Certificates // nil: none
	Auth    []byte                // user:password; nil: none
	Root    string                // a node that barriers look for; it need not be there
	Contact *address.Contact

	// Keeper makes the Keeper of a session, when the session begins.
	Keeper func(*Session) Keeper

	Connect Connect // nil: go-zookeeper's
}

// Keeper is the backend's part of a session, which itself knows no attempt. The session calls it
// with nothing locked.
type Keeper interface {
	// Died is called once, when the server has said that the session is gone, and with it all that it
	// has made.
	Died()

	// Changed is called when somebody has deleted or written to a node that was watched for a holder,
	// see Watch. What happened first is told first, and before any answer that the server has sent
	// later.
	Changed(holder any, deleted bool)

	// Look does what is due, and returns for how long there is nothing to do. It waits for nothing.
	Look() time.Duration

	// Holds reports, when the connection is to be closed, whether what the session has made must
	// outlive it.
	Holds() bool
}

// Pool makes the sessions of one client: one for each session TTL, when it is first
// asked for, and another when that has died. It counts what runs.
type Pool struct {
	Closing context.Context // done when Close begins

	config  Config
	servers *serverHistory
	stop    context.CancelCauseFunc
	running sync.WaitGroup // tasks and sessions
	timers  sync.Pool      // of *time.Timer that have not fired, to be used again

	mu     sync.Mutex
	closed bool
	byTTL  map[time.Duration]*Session
}

// NewPool makes a Pool without sessions.
func NewPool(c Config) *Pool {
	if c.Connect == nil {
		c.Connect = connect
	}
	p := &Pool{config: c, servers: newServerHistory(), byTTL: make(map[time.Duration]*Session)}
	p.Closing, p.stop = context.WithCancelCause(context.Background())
	return p
}

// Close ends all tasks and connections, and waits for them, which does not take long: see
// Session.close.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.stop(ErrClosed)
	p.running.Wait()
}

// openTimeout bounds how long a caller waits for a session. The session goes on connecting after
// that.
const openTimeout = 3 * time.Second

// For returns the session for a TTL. It opens the session if there is none.
func (p *Pool) For(ctx context.Context, ttl time.Duration) (*Session, error) {
	if s := p.opened(attempts.SessionTTL(ttl)); s != nil { // the usual case costs no timer
		return s, nil
	}
	timer := time.NewTimer(openTimeout)
	defer timer.Stop()
	for {
		s, err := p.current(attempts.SessionTTL(ttl))
		if err != nil {
			return nil, err
		}
		select {
		case <-s.ready:
			if s.failure != nil {
				return nil, s.failure
			}
			if s.Alive() {
				return s, nil
			}
		case <-s.dead: // it is forgotten in a moment
		case <-ctx.Done():
			return nil, s.endedBefore(ctx)
		case <-p.Closing.Done():
			return nil, ErrClosed
		case <-timer.C:
			return nil, s.unreachable()
		}
	}
}

// opened returns the session of a session TTL if it is open.
func (p *Pool) opened(ttl time.Duration) *Session {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.byTTL[ttl]; s != nil && !p.closed && isOpen(s) {
		return s
	}
	return nil
}

// isOpen reports whether a session can be used.
func isOpen(s *Session) bool {
	select {
	case <-s.ready:
		return s.failure == nil && s.Alive()
	default:
		return false
	}
}

// current returns the session of a session TTL, ready or not.
func (p *Pool) current(ttl time.Duration) (*Session, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.byTTL[ttl]; s != nil && !p.closed {
		return s, nil
	}
	return p.beginLocked(ttl, ttl+relayLag)
}

// beginLocked begins a session. Call with mu held.
func (p *Pool) beginLocked(ttl, timeout time.Duration) (*Session, error) {
	if p.closed {
		return nil, ErrClosed
	}
	s := newSession(p, ttl)
	s.link = &Link{tls: p.config.TLS, contact: p.config.Contact, handshake: max(min(timeout/6, ProbeTimeout-time.Second/2), time.Second)}
	s.link.hosts = &hosts{link: s.link, history: p.servers}
	var err error
	if s.Conn, s.events, err = p.config.Connect(s.link, p.config.Hosts, timeout, s.onEvent); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoSession, err)
	}
	p.byTTL[ttl] = s
	p.running.Go(s.run)
	return s, nil
}

// forget notes that a session is not to be used any more.
func (p *Pool) forget(s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byTTL[s.ttl] == s {
		delete(p.byTTL, s.ttl)
	}
}

// ProbeTimeout is how long a caller of Probe waits at the most.
const ProbeTimeout = 5 * time.Second

// Probe asks for a session that is longer than any server grants. The answer tells the longest
// there is, by its Longest. The caller ends the session by Retire. Probe fails when all servers
// have been tried once.
func (p *Pool) Probe(ctx context.Context) (*Session, error) {
	const ttl = -1 // no session TTL
	p.mu.Lock()
	s, err := p.beginLocked(ttl, math.MaxInt32*time.Millisecond)
	p.mu.Unlock()
	if err == nil {
		err = s.firstContact(ctx)
	}
	if err == nil {
		err = Classify(ctx, s.failure)
	}
	return s, err
}

// adminTTL is the TTL whose session serves what is not about a lease, if no session is open.
const adminTTL = 10 * time.Second

// Some returns a session that is open, or opens one, for a TTL up to the longest.
func (p *Pool) Some(ctx context.Context, longest time.Duration) (*Session, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	best := min(adminTTL, longest)
	if s := p.Open(); s != nil {
		best = s.ttl
	}
	return p.For(ctx, best)
}

// Open returns a session that is open; nil if there is none. It is the one with the shortest TTL,
// which notices first that its server is gone.
func (p *Pool) Open() (best *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for ttl, s := range p.byTTL {
		if ttl > 0 && isOpen(s) && (best == nil || ttl < best.ttl) {
			best = s
		}
	}
	return best
}

// longestTTL is the longest TTL for which a session of a timeout is long enough.
func longestTTL(timeout time.Duration) time.Duration {
	return attempts.LongestSessionTTL(min(timeout-relayLag, MaxTTL))
}
