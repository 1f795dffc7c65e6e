package fencelock

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
	"github.com/fencelock/fencelock/internal/suspend"
)

// Client takes locks on one backend. Make it with [Open] or [New], share it, and
// Close it at the end. It is safe for concurrent use.
//
// Whatever the number of leases held and of goroutines that wait, a client has a
// constant number of goroutines and connections of its own. The methods of one that is nil, or
// zero, return ErrInvalid.
type Client struct {
	backend  driver.Backend
	info     driver.Info
	ttl      time.Duration
	identity string
	base     fencing.Token     // of all tokens that leave the client
	log      *slog.Logger      // never blocks
	lines    *outbox[record]   // of log
	events   *outbox[observed] // nil without an observer
	made     time.Time
	detached context.Context // of a loss: who notices it is not who it happens to
	clock    *suspend.Clock  // nil where Info.SameClock
	unwatch  func()          // of clock

	turns   turns
	renewal renewal
	janitor janitor

	mu     sync.Mutex
	closed bool
	over   chan struct{}      // closed when Close is over
	calls  map[*call]struct{} // under way
	held   schedule           // all leases that are held, by their deadlines
	idle   sync.WaitGroup     // counts calls; Add only under mu while !closed

	telling tally // losses that log and observer have not been given yet

	closeBy atomic.Pointer[time.Time] // when requests must be over since Close waits for them
}

// New makes a client of a backend that the application has opened itself. The
// client owns it from now on, and closes it. opts may be nil.
func New(b driver.Backend, opts *Options) (*Client, error) {
	fail := func(err error) (*Client, error) { return nil, &Error{Op: "open", Kind: ErrInvalid, Err: err} }
	switch {
	case b == nil:
		return fail(errors.New("the backend is nil"))
	case isNil(b):
		return fail(fmt.Errorf("the backend is a nil %T", b))
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	if err := o.check(); err != nil {
		return fail(err)
	}
	log, lines := newLog(o.Logger)
	return newClient(b, &o, log, lines, suspend.Process)
}

// newClient takes the log apart from the options, since a backend may be writing to it.
func newClient(b driver.Backend, o *Options, log *slog.Logger, lines *outbox[record], clock func() *suspend.Clock) (*Client, error) {
	info := b.Info()
	fail := func(kind, err error) (*Client, error) {
		return nil, &Error{Op: "open", Backend: info.Name, Kind: kind, Err: err}
	}
	if o.Namespace != "" {
		return fail(ErrInvalid, errors.New("Options.Namespace is for Open; give it to the backend where New is used"))
	}
	ttl := o.TTL
	if ttl == 0 {
		ttl = min(max(DefaultTTL, info.MinTTL), info.MaxTTL)
	}
	ttl, err := checkTTL("Options.TTL", ttl, info)
	if err != nil {
		return fail(ErrInvalid, err)
	}
	identity, err := checkIdentity("Options.Identity", o.Identity)
	if err != nil {
		return fail(ErrInvalid, err)
	}
	if err := checkTokenBase("Options.TokenBase", o.TokenBase); err != nil {
		return fail(ErrInvalid, err)
	}
	if info.Tokenless && o.TokenBase != 0 {
		return fail(ErrInvalid, errors.New("Options.TokenBase, or token_base=, adds to tokens, and the URL has switched tokens off: leave it out, or token=false"))
	}
	if info.Guarantee < o.RequireGuarantee {
		return fail(ErrUnsupported, fmt.Errorf("Options.RequireGuarantee asks for %v; this backend promises %v%s", o.RequireGuarantee, info.Guarantee, because(info.Warnings)))
	}
	if !info.Features.Has(o.RequireFeatures) {
		return fail(ErrUnsupported, fmt.Errorf("Options.RequireFeatures asks for %v; this backend has %v", o.RequireFeatures, info.Features))
	}
	c := &Client{
		backend:  b,
		info:     info,
		ttl:      ttl,
		identity: identity,
		base:     o.TokenBase,
		log:      log.With("backend", info.Name),
		lines:    lines,
		made:     time.Now(),
		detached: context.Background(),
		over:     make(chan struct{}),
		calls:    make(map[*call]struct{}),
	}
	c.events = newEvents(c.detached, o.Observer, info)
	c.held = schedule{made: c.made, slot: func(l *Lease) *slot { return &l.ends }, fire: c.lookAtDeadlines}
	c.renewal.client = c
	c.janitor.client = c
	c.janitor.quit = make(chan struct{})
	if !info.SameClock {
		c.clock = clock()
	}
	c.unwatch = c.clock.Watch(c.woken)
	if len(info.Warnings) > 0 {
		for _, w := range info.Warnings {
			c.log.Warn("fencelock: " + w)
		}
		flushSoon(c.lines)
	}
	return c, nil
}

// because gives the reasons why a backend promises what it does, if it knows any.
func because(warnings []string) string {
	if len(warnings) == 0 {
		return ""
	}
	return ": " + strings.Join(warnings, "; ")
}

// flushSoon has the log take what it was given. A program that ends soon has its warnings
// written, too; one whose log blocks does not wait for it.
func flushSoon(lines *outbox[record]) {
	const moment = 100 * time.Millisecond
	ctx, cancel := context.WithTimeout(context.Background(), moment)
	defer cancel()
	lines.flush(ctx)
}

// Info says what the backend is, what it promises, and what in the server's
// settings weakens that.
func (c *Client) Info() driver.Info {
	if c == nil {
		return driver.Info{}
	}
	return c.info
}

// outward is the token that the application sees for one of the backend's.
func (c *Client) outward(t fencing.Token) fencing.Token {
	if c.info.Tokenless {
		return 0
	}
	return c.base + t
}

// checkGranted refuses a grant whose token would not be one any more.
func (c *Client) checkGranted(g driver.Grant) error {
	if g.Token <= maxToken-c.base {
		return nil
	}
	return fmt.Errorf("%w: the backend's token %v and the token base %v add up to more than %v: set a lower Options.TokenBase or token_base=",
		ErrInvalid, g.Token, c.base, maxToken)
}

// checkMade refuses a client that is nil, as after an error of Open that was not looked at, or
// the zero value.
func (c *Client) checkMade(op, key string) error {
	if c == nil || c.backend == nil {
		return &Error{Op: op, Key: key, Kind: ErrInvalid, Err: errors.New("this client is nil or zero: make it with Open or New")}
	}
	return nil
}

// call is one method of the client under way, and the context of what it asks of the backend.
type call struct {
	lazyContext
	client *Client
	turn   turn        // for those who want the key, if this call is the first
	queued atomic.Bool // the attempt is, on the server
}

// end ends the call.
func (c *call) end() {
	c.finish(nil)
	c.client.mu.Lock()
	delete(c.client.calls, c)
	c.client.mu.Unlock()
	c.client.idle.Done()
}

// begin begins a call about a key: see beginCall.
func (c *Client) begin(ctx context.Context, op, key string) (*call, error) {
	if err := c.checkMade(op, key); err != nil {
		return nil, err
	}
	if err := checkKey(key); err != nil {
		return nil, &Error{Op: op, Backend: c.info.Name, Kind: ErrInvalid, Err: err}
	}
	return c.beginCall(ctx, op, key)
}

// beginCall begins a call. Its context ends with the caller's, or with [ErrClosed] when the client is
// closed.
func (c *Client) beginCall(ctx context.Context, op, key string) (*call, error) {
	if ctx == nil {
		return nil, &Error{Op: op, Backend: c.info.Name, Key: key, Kind: ErrInvalid, Err: errNilContext}
	}
	if ctx.Err() != nil {
		return nil, c.contextEnded(ctx, op, key, nil, nil)
	}
	this := &call{lazyContext: lazyContext{from: ctx}, client: c}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, &Error{Op: op, Backend: c.info.Name, Key: key, Kind: ErrClosed}
	}
	c.calls[this] = struct{}{}
	c.idle.Add(1)
	return this, nil
}
