package fencelock

import (
	"context"
	"sync"
	"time"
)

// lazyContext is the context of a call, or of a request, that asks package context for one of its own
// only when somebody wants to be told of its end, by Done: mostly nobody does, and it costs more than all
// else that the client does for a lock that is free.
//
// Once it is derived, Done, Err and Value are those of a context of package context, which then knows it
// for one of its own. What package context derives from it asks for Done first.
type lazyContext struct {
	from context.Context //nolint:containedctx // it is one
	ends time.Time       // if it is not zero it ends then, and not with from

	mu      sync.Mutex
	derived context.Context //nolint:containedctx // nil until it is needed
	cancel  context.CancelCauseFunc
	over    bool // what it was made for
}

// derive returns the context of package context. Called with mu held.
func (c *lazyContext) derive() context.Context {
	switch {
	case c.derived != nil:
		return c.derived
	case c.ends.IsZero():
		c.derived, c.cancel = context.WithCancelCause(c.from)
	default:
		ctx, cancel := context.WithDeadline(context.WithoutCancel(c.from), c.ends)
		c.derived, c.cancel = ctx, func(error) { cancel() }
	}
	if c.over {
		c.cancel(nil)
	}
	return c.derived
}

// finish ends it, with a cause or nil.
//
// Done against this: if Done comes first, what it has returned is closed here; if this is first, what
// Done returns is closed already.
func (c *lazyContext) finish(cause error) {
	c.mu.Lock()
	if cause != nil {
		c.derive() // to have the cause
	}
	c.over = true
	cancel := c.cancel
	c.mu.Unlock()
	if cancel != nil {
		cancel(cause) // without mu: who is told may ask this context
	}
}

func (c *lazyContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.derive().Done()
}

// Err asks from without mu: it may be a context of a lease, which takes the mutexes of that lease and its
// client, while Close holds the client's and calls finish.
//
// Err against finish, and Done: what was true before mu was given back was true when Err was called.
func (c *lazyContext) Err() error {
	c.mu.Lock()
	if c.derived == nil && !c.over {
		if c.ends.IsZero() {
			c.mu.Unlock()
			return c.from.Err()
		} else if time.Now().Before(c.ends) {
			c.mu.Unlock()
			return nil
		}
	}
	derived := c.derive()
	c.mu.Unlock()
	return derived.Err()
}

func (c *lazyContext) Deadline() (ends time.Time, ok bool) {
	if c.ends.IsZero() {
		return c.from.Deadline()
	}
	return c.ends, true
}

// Value is from's until it is derived. An end that is not from's derives it, and so context.Cause finds it.
func (c *lazyContext) Value(key any) any {
	c.mu.Lock()
	if c.over {
		c.derive() // Cause asks for no more than this before Go 1.26
	}
	from := c.derived
	c.mu.Unlock()
	switch {
	case from != nil:
	case c.ends.IsZero():
		from = c.from
	default:
		from = context.WithoutCancel(c.from)
	}
	return from.Value(key)
}
