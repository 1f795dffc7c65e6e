package fencelock

import (
	"context"
	"fmt"
)

// Context returns a context that ends with the lease, or with parent. After the
// lease has ended, context.Cause gives the lease's Err; with Go 1.25 ask the context's
// Err before, since Cause does not. It needs no cancel function of its own: Unlock is that.
//
// Its Err looks at the clock first, as the lease's Err does. So after a wait for
// anything else than Done ask Err: a process that was paused for longer than its lease
// finds out by it at the first look, while Done may be closed, and contexts derived from
// this one cancelled, some time later: the runtime may let a goroutine whose data has
// come go first. Contexts that package context derives from it do not look at the clock
// themselves; ask this one, or the lease, between the steps of the work. [FromContext] finds
// the lease in it.
func (l *Lease) Context(parent context.Context) context.Context {
	inner, cancel := context.WithCancelCause(parent)
	ctx := &leaseContext{inner, l}
	_ = l.Err() // which ends a lease whose time is over
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		cancel(l.errLocked())
		return ctx
	}
	if l.contexts == nil {
		l.contexts = make(map[*context.CancelCauseFunc]struct{})
	}
	l.contexts[&cancel] = struct{}{}
	// A parent that ends first takes its entry away, or a long lease with many
	// short-lived contexts would grow.
	context.AfterFunc(inner, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.contexts, &cancel)
	})
	return ctx
}

// leaseContext is what Context returns. Done and Value are those of a context of package
// context, by which that package knows it for one of its own: what is derived from it is
// entered there, without a goroutine, and finds the cause there.
type leaseContext struct {
	context.Context
	lease *Lease
}

// Err calls nothing that may call it back. The goroutine that ends the lease holds its mutex
// while it cancels the inner contexts, and those do not know this one.
func (c *leaseContext) Err() error {
	if err := c.Context.Err(); err != nil {
		return err
	}
	if c.lease.Err() == nil {
		return nil
	}
	return c.Context.Err() // cancelled by now: the lease has ended
}

// String is for package fmt, which would else print all that the lease consists of.
func (c *leaseContext) String() string {
	return fmt.Sprintf("%v.fencelock(%q)", c.Context, c.lease.grant.Key)
}

// Value also gives the lease, to FromContext.
func (c *leaseContext) Value(key any) any {
	if key == (contextKey{}) {
		return c.lease
	}
	return c.Context.Value(key)
}

// contextKey is the key under which a context carries a lease.
type contextKey struct{}

// NewContext returns a context that carries the lease, for code that is reached only by a
// context. It does not end with the lease: [Lease.Context] makes one that does, and that
// carries the lease, too.
func NewContext(ctx context.Context, l *Lease) context.Context {
	return context.WithValue(ctx, contextKey{}, l)
}

// FromContext returns the lease that a context carries, and whether there is one. Of several
// leases it is the one that was put in last. The lease may have ended: ask its Err.
func FromContext(ctx context.Context) (*Lease, bool) {
	if ctx == nil {
		return nil, false
	}
	l, _ := ctx.Value(contextKey{}).(*Lease)
	return l, l != nil
}
