// Package node is the client of one Redis server: connections, pipelines, scripts, notifications, and
// what the server tells of itself. It knows nothing of locks. Package redis uses one node, package
// redlock several.
package node

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver/address"
)

// Config says how a node is reached.
type Config struct {
	// Options are from Connections, with where the connections go, or from LikeTheirs.
	Options goredis.Options

	// Contact is told when the server cannot be reached, and when it can again. It may be nil.
	Contact *address.Contact

	// Place says where the server is, if that changes. nil: always at Options.Addr. Otherwise Options.Dialer gets
	// the address from it.
	Place Place

	// Patient has a request wait for as long as it may for a connection, also while the server cannot be reached: with a Place
	// that soon says where another has taken its place. Without it the request fails as soon as a connection does.
	Patient bool

	// DirectLimit is how many callers of Eval each use a connection of their own; all further callers
	// share those of the senders.
	DirectLimit int32

	// Senders is how many connections, at most, take what is queued to the server: 1 if it is not set.
	Senders int

	// TellBoot has each connection ask for the server's run_id when it is made, by INFO server in
	// place of PING. Call.Boot needs it.
	TellBoot bool
}

// Node is one server. Its methods are safe for concurrent use.
type Node struct {
	conf      goredis.Options
	contact   *address.Contact
	latest    latest
	features  atomic.Pointer[Features] // nil before Prepare
	locator   *locator
	calls     *pipeline
	dedicated *pipeline // for scripts that are marked Dedicated: half of what calls has

	closing context.Context
	stop    context.CancelFunc

	mu     sync.Mutex
	sub    *subscription // nil before Subscribe
	closed bool
}

// latest is what the connection that was made last has found.
type latest struct {
	roundTrip atomic.Int64 // a time.Duration
	boot      atomic.Pointer[string]
}

// New makes a node. It does not connect: the first request does, or Warm. Requests under way end when
// closing does; Close waits for them.
func New(closing context.Context, c Config) *Node {
	n := &Node{conf: c.Options, contact: c.Contact}
	n.closing, n.stop = context.WithCancel(closing)
	n.locator = newLocator(n.closing, c.Options.Addr, c.Place)
	half := func(of int) int { return (max(of, 1) + 1) / 2 }
	n.calls = n.newPipeline(c, c.DirectLimit, max(c.Senders, 1))
	n.dedicated = n.newPipeline(c, int32(half(int(c.DirectLimit))), half(c.Senders)) //nolint:gosec // it is small
	n.locator.sweep = func() {
		n.calls.pool.sweep()
		n.dedicated.pool.sweep()
	}
	return n
}

func (n *Node) newPipeline(c Config, directLimit int32, senders int) *pipeline {
	p := newPipeline(n.closing, c.Options, directLimit, senders)
	p.pool.contact, p.pool.latest, p.pool.tellBoot, p.pool.locator = c.Contact, &n.latest, c.TellBoot, n.locator
	p.pool.patient = c.Patient
	return p
}

func (n *Node) pipelineOf(s *Script) *pipeline {
	if s != nil && s.dedicated {
		return n.dedicated
	}
	return n.calls
}

// Warm begins to make a connection in advance.
func (n *Node) Warm() { n.calls.pool.warm() }

// Trip is the round trip that was measured last, when a connection was made. Zero before.
func (n *Node) Trip() time.Duration { return time.Duration(n.latest.roundTrip.Load()) }

// Boot is the run_id of the server's process that the connection made last leads to: with
// Config.TellBoot only. It is empty before the first connection, and where the server does not tell.
func (n *Node) Boot() string {
	if boot := n.latest.boot.Load(); boot != nil {
		return *boot
	}
	return ""
}

// withConn calls ask with a connection, which ends when ctx does. What the server says need not be vouched for: it
// is about the server.
func (n *Node) withConn(ctx context.Context, ask func(*goredis.Client) error) error {
	pool := n.dedicated.pool
	c, _, err := pool.take(ctx, time.Now(), 3*connectTimeout) // until connect has failed
	if err != nil {
		return fmt.Errorf("connecting: %w", Classify(ctx, err))
	}
	stop := context.AfterFunc(ctx, c.closeSocket) // drop closes it
	err = ask(c.client.WithTimeout(connectTimeout))
	if stop() && c.raw.SetDeadline(time.Time{}) == nil {
		pool.put(c)
	} else {
		pool.drop(c)
	}
	if err != nil && n.locator.left(c.at) {
		err = Classify(ctx, n.locator.elsewhere(c.at))
	}
	return err
}

// Ask runs a command that asks the server about itself, once, on a connection that is as new as any; so it needs
// no Vouch, and no answer of it may be taken for one about locks. The error has been through Classify.
func (n *Node) Ask(ctx context.Context, words ...any) (reply any, err error) {
	err = n.withConn(ctx, func(client *goredis.Client) error {
		reply, err = client.Do(ctx, words...).Result()
		return Classify(ctx, err)
	})
	return reply, err
}

// CloseWithin runs closes, which closes nodes, and waits for it for a second at most: an application's
// dialler, or its function for credentials, may ignore its context. Then closes goes on in the
// background until that function returns.
func CloseWithin(closes func()) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		closes()
	}()
	select {
	case <-closed:
	case <-time.After(time.Second):
	}
}

// Close ends requests under way and the connections, and waits for both. It also waits for an
// application's dialler, or its function for credentials, if that ignores its context: see CloseWithin.
func (n *Node) Close() {
	n.stop()
	n.mu.Lock()
	n.closed = true
	sub := n.sub
	n.mu.Unlock()
	if sub != nil {
		sub.close()
	}
	n.calls.close()
	n.dedicated.close()
	n.locator.close()
}
