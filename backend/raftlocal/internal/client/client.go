// Package client runs a session: it finds the member that leads, follows it when it moves, and
// carries commands of many callers over one connection.
//
// There are two goroutines for a connection, and none for a caller. One reads, and tells the
// callers; between connections it looks for the leader. The other writes whatever has come
// together since its last write, at once: a lone caller waits for nobody, and of a thousand
// callers many share one write. While something is outstanding a timer looks, twice in a
// second, whether the member is still there: one that has said nothing for a second and a half,
// although asked, is left for another.
//
// A client that looks for the leader asks one member, and the next as soon as that has answered, or
// has not for a tenth of a second: a member that is gone costs nobody more than that, however
// long its address takes to fail. What is slow is waited for all the same.
//
// # Who says what to whom
//
// What an answer means for a claim must be noted before anything that comes later is looked at:
// the push that grants a lock may be in the same packet as the reply that says "wait". So a
// call has a [Handler], which the reading goroutine calls, in the order of the answers, before the
// caller is woken.
package client

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/session"
	"github.com/fencelock/fencelock/driver"
)

// SessionTTL is how long a session lives that nothing is sent in. One that has ended costs the
// next command one more round trip.
const SessionTTL = time.Minute

// Config says how the cluster is reached.
type Config struct {
	// Addrs are addresses of members: one that works is enough, since it knows the others.
	Addrs []string
	// Dial connects to an address. It must return soon after ctx has ended.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Cluster is the name that the cluster must have, or empty.
	Cluster string
	// OnPush is told of each change of a claim that nobody asked for, in order with the answers (see [Handler]). It must not block.
	OnPush func(command.Claim)
	// OnReconnect is called when there is a new connection, or session: pushes may have been lost. It
	// must not block.
	OnReconnect func()
	// OnVoid is told that all that was granted is void, and why, in order with the answers. It must
	// not block.
	OnVoid func(why string)
	// Trouble is why the member of our own process has ended or cannot go on, or nil; errors name it.
	// The others may do well without it, so nothing fails because of it.
	Trouble func() error
	// AwayAfter, if it is not 0, is after how long Ready gives up where certainly nobody is at any
	// address.
	AwayAfter time.Duration
	// LeaderTimeout, if it is not 0, is how long a call waits while there is no connection, where nobody is
	// elected who would come by himself.
	LeaderTimeout time.Duration
	// Logger is told of connections found and lost; nil for nobody.
	Logger *slog.Logger
}

// Client is one application's way to a cluster. Its methods are safe for concurrent use.
type Client struct {
	cfg     Config
	base    time.Time // what times of the session count from
	closing context.Context
	stop    context.CancelFunc
	running sync.WaitGroup
	needed  chan struct{} // has an element when a connection is needed
	calls   sync.Pool     // of *Call; not shared with other clients, so that each may live in a bubble

	mu        sync.Mutex
	closed    bool
	session   *session.Session
	link      *link         // nil while there is none
	sent      time.Duration // when something was sent last
	expecting int
	timer     *time.Timer // not nil while it runs
	fault     error       // why there is no link
	refused   bool        // by most members, and taken by none
	absent    bool        // for AwayAfter, nobody was at any address
	met       bool        // there was a connection
	told      string      // the fault that was logged last, since there was a connection
	changed   chan struct{}
}

// New returns a client, which begins to look for the leader.
func New(cfg Config) *Client {
	if cfg.OnPush == nil {
		cfg.OnPush = func(command.Claim) {}
	}
	if cfg.OnReconnect == nil {
		cfg.OnReconnect = func() {}
	}
	if cfg.Trouble == nil {
		cfg.Trouble = func() error { return nil }
	}
	if cfg.OnVoid == nil {
		cfg.OnVoid = func(string) {}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Client{
		cfg: cfg, base: time.Now(), needed: make(chan struct{}, 1),
		session: session.New(newID, SessionTTL), changed: make(chan struct{}),
	}
	c.closing, c.stop = context.WithCancel(context.Background())
	c.needed <- struct{}{}
	c.running.Go(c.run)
	return c
}

func (c *Client) now() time.Duration { return time.Since(c.base) }

// Closing is done when Close begins.
func (c *Client) Closing() <-chan struct{} { return c.closing.Done() }

// LastSent is when a command was sent last: the session lives for SessionTTL from there, if
// it has arrived.
func (c *Client) LastSent() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.base.Add(c.sent)
}

// ExpectPushes tells that n more pushes are waited for, or, negative, fewer. As long as there are any,
// the connection is looked after as if a command were outstanding.
func (c *Client) ExpectPushes(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expecting += n
	if n > 0 && !c.closed {
		c.neededLocked()
	}
}

// Ready waits until the leader is found. When ctx ends first, the error says what came of asking each
// member, and wraps driver.ErrUnavailable. Where most members refuse us, or we do not take
// them, it wraps driver.ErrRefused, at once: asking again would not help.
func (c *Client) Ready(ctx context.Context) error {
	for {
		c.mu.Lock()
		connected, closed, refused, absent, fault, changed := c.link != nil, c.closed, c.refused, c.absent, c.fault, c.changed
		if !connected && !closed {
			c.neededLocked()
		}
		c.mu.Unlock()
		switch {
		case closed:
			return errClosed
		case connected:
			return nil
		case refused:
			return c.cfg.explained(fmt.Errorf("%w: raft: %w", driver.ErrRefused, fault))
		case absent:
			return c.cfg.explained(fmt.Errorf("%w: raft: %w", driver.ErrUnavailable, fault))
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return c.cfg.explained(unreachable(context.Cause(ctx), fault))
		case <-c.closing.Done():
		}
	}
}

// Close ends all calls and the connection. The session ends by itself, on the server, and the
// claims with their TTLs. It may be called twice.
func (c *Client) Close() error {
	c.mu.Lock()
	first := !c.closed
	c.closed = true
	if c.timer != nil && c.timer.Stop() {
		c.running.Done() // it will not run
	}
	c.timer = nil
	c.mu.Unlock()
	c.stop()
	c.running.Wait()
	for first {
		c.mu.Lock()
		x := c.session.Oldest()
		if x == nil {
			c.mu.Unlock()
			break
		}
		never := c.session.Cancel(x)
		c.mu.Unlock()
		c.finish(x, nil, errClosed, never)
	}
	return nil
}

// neededLocked sees to it that something that has just come is sent. Called with mu held.
func (c *Client) neededLocked() {
	if c.timer == nil && c.link != nil {
		c.link.before, c.link.silent = c.link.heard.Load(), 0
	}
	c.tickLocked()
	if c.link != nil {
		c.link.wakeLocked()
		return
	}
	select {
	case c.needed <- struct{}{}:
	default: // it is known
	}
}

// changedLocked wakes those who wait for the leader to be found. Called with mu held.
func (c *Client) changedLocked() {
	close(c.changed)
	c.changed = make(chan struct{})
}
