package client

import (
	"context"
	"fmt"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/session"
)

// Outcome is what became of a command.
type Outcome struct {
	Reply command.Reply
	// Sent was read from the monotonic clock before the command was sent for the first time:
	// the server did nothing about it before.
	Sent time.Time
	// Resent says that it was sent on more than one connection, so that the reply may tell of
	// what was carried out long ago.
	Resent bool
	// Err is nil if there is a Reply. Otherwise it is not known whether the command was
	// carried out, unless NotExecuted says that it was not and will not be.
	Err         error
	NotExecuted bool
}

// Handler is told of an outcome, before anybody who waits for the call and before anything is
// looked at that came later. It must not block. It is not called for a call that was
// cancelled.
type Handler interface {
	OnReply(o *Outcome)
}

// Call is a command on its way.
type Call struct {
	session session.Call
	then    Handler
	outcome Outcome
	since   time.Duration
	done    chan struct{} // has an element when the outcome is there
}

// Start gives a command to the session, in whose order commands are carried out. It does not
// block. then may be nil; it is not called if there is an error, which says that the client is
// closed. A call that nobody waits for need not be waited for.
func (c *Client) Start(cmd command.Command, then Handler) (*Call, error) {
	k, _ := c.calls.Get().(*Call)
	if k == nil {
		k = &Call{done: make(chan struct{}, 1)}
	}
	k.session.Command, k.session.For, k.then = cmd, k, then
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, errClosed
	}
	k.since = c.now()
	c.session.Start(&k.session)
	c.neededLocked()
	c.mu.Unlock()
	return k, nil
}

// Wait waits for the outcome of a call, which must not be used again. When ctx ends first, the
// call is cancelled, and the error is ctx's: the command may be carried out all the same, or
// not, but not after a later one of this client.
func (c *Client) Wait(ctx context.Context, k *Call) Outcome {
	select {
	case <-k.done:
		return c.recycle(k)
	default:
	}
	select {
	case <-k.done:
		return c.recycle(k)
	case <-ctx.Done():
	}
	c.mu.Lock()
	over := k.session.Over()
	never := c.session.Cancel(&k.session)
	fault := c.faultLocked()
	c.mu.Unlock()
	if over {
		// The outcome came first, and is on its way from the goroutine that reads, which does
		// not block.
		<-k.done
		return c.recycle(k)
	}
	return Outcome{Err: c.cfg.explained(fmt.Errorf("%w: raft: %w", context.Cause(ctx), fault)), NotExecuted: never}
}

// Fault is why a command would wait now, as far as is known, or nil.
func (c *Client) Fault() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.link != nil && c.link.says == "" {
		return nil
	}
	return c.faultLocked()
}

// faultLocked is why there is no answer yet. Called with mu held.
func (c *Client) faultLocked() error {
	switch {
	case c.link != nil:
		return c.link.faultLocked()
	case c.fault != nil:
		return c.fault
	}
	return errUnheard
}

// Do is Start and Wait.
func (c *Client) Do(ctx context.Context, cmd command.Command, then Handler) Outcome {
	k, err := c.Start(cmd, then)
	if err != nil {
		return Outcome{Err: err, NotExecuted: true}
	}
	return c.Wait(ctx, k)
}

func (c *Client) recycle(k *Call) Outcome {
	o := k.outcome
	k.outcome, k.then, k.session = Outcome{}, nil, session.Call{}
	c.calls.Put(k)
	return o
}

// finish tells the outcome of a call that the session has let go. Called without mu.
func (c *Client) finish(x *session.Call, reply *command.Reply, err error, never bool) {
	k := x.For.(*Call)
	k.outcome = Outcome{Err: err, NotExecuted: never, Resent: x.Times > 1, Sent: c.base.Add(x.Sent)}
	if reply != nil {
		k.outcome.Reply = *reply
	}
	if k.then != nil {
		k.then.OnReply(&k.outcome)
	}
	k.done <- struct{}{}
}
