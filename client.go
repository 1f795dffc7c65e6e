package fencelock

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/internal/suspend"
)

// Client takes locks on one backend. Make it with [Open] or [New], share it, and
// Close it at the end. It is safe for concurrent use.
//
// Whatever the number of leases held and of goroutines that wait, a client has a
// constant number of goroutines and connections of its own.
type Client struct {
	backend  driver.Backend
	info     driver.Info
	ttl      time.Duration
	identity string
	log      *slog.Logger
	observer Observer
	detached context.Context // of a loss: who notices it is not who it happens to
	clock    *suspend.Clock  // nil where Info.SameClock
	unwatch  func()          // of clock

	turns   turns
	renewal renewal
	janitor janitor

	mu     sync.Mutex
	closed bool
	calls  map[*call]struct{} // under way
	leases map[*Lease]struct{}
	idle   sync.WaitGroup // counts calls; Add only under mu while !closed
}

var _ Locker = (*Client)(nil)

// New makes a client of a backend that the application has opened itself. The
// client owns it from now on, and closes it. opts may be nil.
func New(b driver.Backend, opts *Options) (*Client, error) {
	return newClient(b, opts, suspend.Process)
}

func newClient(b driver.Backend, opts *Options, clock func() *suspend.Clock) (*Client, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	info := b.Info()
	fail := func(kind, err error) (*Client, error) {
		return nil, &Error{Op: "open", Backend: info.Name, Kind: kind, Err: err}
	}
	if o.Namespace != "" {
		return fail(ErrInvalid, errors.New("Options.Namespace is for Open; give it to the backend where New is used"))
	}
	if o.TTL == 0 {
		o.TTL = min(max(DefaultTTL, info.MinTTL), info.MaxTTL)
	}
	ttl, err := checkTTL("Options.TTL", o.TTL, info)
	if err != nil {
		return fail(ErrInvalid, err)
	}
	identity, err := checkIdentity(o.Identity)
	if err != nil {
		return fail(ErrInvalid, err)
	}
	if info.Guarantee < o.Require {
		return fail(ErrUnsupported, fmt.Errorf("Options.Require asks for %v; this backend promises %v", o.Require, info.Guarantee))
	}
	if !info.Features.Has(o.Features) {
		return fail(ErrUnsupported, fmt.Errorf("Options.Features asks for %v; this backend has %v", o.Features, info.Features))
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	c := &Client{
		backend:  b,
		info:     info,
		ttl:      ttl,
		identity: identity,
		log:      o.Logger.With("backend", info.Name),
		observer: o.Observer,
		detached: context.Background(),
		calls:    make(map[*call]struct{}),
		leases:   make(map[*Lease]struct{}),
	}
	c.renewal.client = c
	c.janitor.client = c
	if !info.SameClock {
		c.clock = clock()
	}
	c.unwatch = c.clock.Watch(c.woken)
	for _, w := range info.Warnings {
		c.log.Warn("fencelock: " + w)
	}
	return c, nil
}

// Info says what the backend is, what it promises, and what in the server's
// settings weakens that.
func (c *Client) Info() driver.Info { return c.info }

// Inspect tells who holds a key, for people and their tools: the answer may be
// old when it arrives. A key that nobody holds gives Held false and no error.
func (c *Client) Inspect(ctx context.Context, key string) (driver.Status, error) {
	ctx, done, err := c.enter(ctx, "inspect", key)
	if err != nil {
		return driver.Status{}, err
	}
	defer done()
	s, err := c.backend.Inspect(ctx, key)
	if err != nil {
		return driver.Status{}, c.fault(ctx, "inspect", key, err)
	}
	return s, nil
}

// Evict frees a lock by an operator's decision, whoever holds it. The holder's
// lease is lost: at once where the backend can tell it, with its next renewal
// otherwise. Work that it is doing does not stop by itself; the token protects
// what checks it. ErrNotHeld if nobody holds the lock; ErrUnknown if the request
// was sent and no answer came.
func (c *Client) Evict(ctx context.Context, key string) error {
	ctx, done, err := c.enter(ctx, "evict", key)
	if err != nil {
		return err
	}
	defer done()
	err = c.backend.Evict(ctx, key)
	switch {
	case err == nil:
		c.log.Warn("fencelock: lock evicted", "key", key)
		return nil
	case errors.Is(err, driver.ErrNotHeld):
		return &Error{Op: "evict", Backend: c.info.Name, Key: key, Kind: ErrNotHeld, Err: err}
	case errors.Is(err, driver.ErrUnavailable), ctx.Err() != nil:
		return &Error{Op: "evict", Backend: c.info.Name, Key: key, Kind: ErrUnknown, Err: err}
	}
	return c.fault(ctx, "evict", key, err)
}

// call is one method of the client under way.
type call struct{ cancel context.CancelCauseFunc }

// enter begins a call: it checks the key, and derives the context that ends with
// the caller's, or with [ErrClosed] when the client is closed. done ends the call.
func (c *Client) enter(ctx context.Context, op, key string) (_ context.Context, done func(), err error) {
	if err := checkKey(key); err != nil {
		return nil, nil, &Error{Op: op, Backend: c.info.Name, Kind: ErrInvalid, Err: err}
	}
	if ctx.Err() != nil {
		return nil, nil, c.fault(ctx, op, key, context.Cause(ctx))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	this := &call{cancel}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		cancel(nil)
		return nil, nil, &Error{Op: op, Backend: c.info.Name, Key: key, Kind: ErrClosed}
	}
	c.calls[this] = struct{}{}
	c.idle.Add(1)
	return ctx, func() {
		cancel(nil)
		c.mu.Lock()
		delete(c.calls, this)
		c.mu.Unlock()
		c.idle.Done()
	}, nil
}

// fault makes the error of a call that failed with err. A dead context explains
// more than what it did to the request.
func (c *Client) fault(ctx context.Context, op, key string, err error) error {
	e := &Error{Op: op, Backend: c.info.Name, Key: key, Err: err}
	if ctx.Err() != nil {
		cause := context.Cause(ctx)
		if errors.Is(cause, ErrClosed) {
			e.Kind, e.Err = ErrClosed, nil
			return e
		}
		e.Err = cause
		if !errors.Is(cause, ctx.Err()) {
			e.Err = fmt.Errorf("%w: %w", ctx.Err(), cause)
		}
		return e
	}
	for _, kind := range []error{ErrHeld, ErrUnavailable} {
		if errors.Is(err, kind) {
			e.Kind = kind
		}
	}
	return e
}

func (c *Client) observe(ctx context.Context, e Event) {
	if c.observer == nil {
		return
	}
	e.Backend = c.info.Name
	c.observer.Observe(ctx, e)
}
