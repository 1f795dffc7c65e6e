// Package node is one Redis server: connections to it, pipelines, scripts, notifications, and what
// the server tells of itself. It knows nothing of locks. A recipe is made of one node (package redis)
// or of several (package redlock).
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

	// DirectLimit is how many callers of Eval use a connection by themselves; more share those of the senders.
	DirectLimit int32

	// Senders is how many connections, at most, take what is queued to the server: 1 if it is not set.
	Senders int

	// TellBoot has each connection ask for the server's run_id when it is made, by INFO server in
	// place of PING. Call.Boot needs it.
	TellBoot bool
}

// Node is one server. Its methods are safe for concurrent use.
type Node struct {
	conf    goredis.Options
	contact *address.Contact
	seen    seen
	calls   *pipe
	apart   *pipe // for scripts that are marked Apart: half of what calls has

	closing context.Context
	stop    context.CancelFunc

	mu     sync.Mutex
	sub    *subscription // nil before Subscribe
	closed bool
}

// seen is what the connection that was made last has met.
type seen struct {
	trip atomic.Int64 // a time.Duration
	boot atomic.Pointer[string]
}

// New makes a node. It does not connect: the first request does, or Warm. What is under way ends when
// closing does; Close waits for it.
func New(closing context.Context, c Config) *Node {
	n := &Node{conf: c.Options, contact: c.Contact}
	n.closing, n.stop = context.WithCancel(closing)
	half := func(of int) int { return (max(of, 1) + 1) / 2 }
	n.calls = n.newPipe(c, c.DirectLimit, max(c.Senders, 1))
	n.apart = n.newPipe(c, int32(half(int(c.DirectLimit))), half(c.Senders)) //nolint:gosec // it is small
	return n
}

func (n *Node) newPipe(c Config, alone int32, senders int) *pipe {
	p := newPipe(n.closing, c.Options, alone, senders)
	p.lanes.contact, p.lanes.seen, p.lanes.tellBoot = c.Contact, &n.seen, c.TellBoot
	return p
}

func (n *Node) pipeOf(s *Script) *pipe {
	if s.apart {
		return n.apart
	}
	return n.calls
}

// Warm begins to make a connection in advance.
func (n *Node) Warm() { n.calls.lanes.warm() }

// Trip is the round trip that was measured last, when a connection was made. Zero before.
func (n *Node) Trip() time.Duration { return time.Duration(n.seen.trip.Load()) }

// Boot is the run_id of the server's process that the connection made last leads to: with
// Config.TellBoot only. It is empty before the first connection, and where the server does not tell.
func (n *Node) Boot() string {
	if boot := n.seen.boot.Load(); boot != nil {
		return *boot
	}
	return ""
}

// with lends out a connection until ctx ends.
func (n *Node) with(ctx context.Context, ask func(*goredis.Client) error) error {
	lanes := n.apart.lanes
	l, _, err := lanes.take(ctx, time.Now(), 3*connectTimeout) // until connect has failed
	if err != nil {
		return fmt.Errorf("connecting: %w", Classify(ctx, err))
	}
	stop := context.AfterFunc(ctx, l.hangUp) // drop closes it
	err = ask(l.client)
	if stop() {
		lanes.put(l)
	} else {
		lanes.drop(l)
	}
	return err
}

// CloseWithin runs what closes nodes, and waits for it for a second at most: a dialler, or a function for
// credentials, of an application may not heed its context. What waits for that ends when it does.
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

// Close ends what is under way, and the connections, and waits for that; also for a dialler, or a
// function for credentials, of an application that does not heed its context.
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
	n.apart.close()
}
