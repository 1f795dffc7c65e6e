package fencelock

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Locker is what most code needs of a [Client], and what a wrapper implements.
// There is no unlock here: that belongs to the [Lease].
type Locker interface {
	// Lock waits until it holds the lock or ctx ends. ctx governs the wait only:
	// its end does not touch a lease that was granted.
	Lock(ctx context.Context, key string, opts ...LockOption) (*Lease, error)

	// TryLock does not wait for a holder: it returns ErrHeld at once.
	TryLock(ctx context.Context, key string, opts ...LockOption) (*Lease, error)
}

var _ Locker = (*Client)(nil)

// Lock waits until it holds the lock of key, or until ctx ends. ctx governs the
// wait only. Locks are not reentrant: a goroutine that locks a key twice waits
// for itself.
//
// Lock retries through a server outage of up to one TTL. If ctx ends first, the error matches
// ctx's (errors.Is with context.Canceled and so on) and one more: ErrHeld if the server's last
// answer was that another has the lock, or ErrUnavailable if the server was silent. So a short
// wait on a dead server does not look like a busy lock. Other errors are of kind
// ErrUnavailable, ErrClosed or ErrInvalid; of kind ErrRefused where the server said no; or the
// server's own where asking again would not help.
//
// After an error nothing is held. What the attempt may have left on the server is released in
// the background, and ends by itself after the TTL at the latest.
func (c *Client) Lock(ctx context.Context, key string, opts ...LockOption) (*Lease, error) {
	return c.lock(ctx, "lock", key, true, opts)
}

// TryLock takes the lock of key if it is free. If another holds it, or waits for
// it, TryLock returns ErrHeld at once and leaves nothing on the server; a [*HeldError] in it
// says who holds the lock, and for how long yet, where the server tells. Otherwise it is like [Client.Lock], except
// that it gives up with ErrUnavailable after the second request that got no answer.
func (c *Client) TryLock(ctx context.Context, key string, opts ...LockOption) (*Lease, error) {
	return c.lock(ctx, "try lock", key, false, opts)
}

func (c *Client) lock(ctx context.Context, op, key string, wait bool, opts []LockOption) (*Lease, error) {
	if err := c.checkMade(op, key); err != nil {
		return nil, err
	}
	began := time.Now()
	lease, err := c.lockKey(ctx, op, key, wait, opts, began)
	if err != nil {
		c.observe(ctx, Event{Kind: EventNotAcquired, Key: key, Took: time.Since(began), Err: err})
		return nil, err
	}
	c.observe(ctx, Event{Kind: EventAcquired, Key: key, Token: lease.Token(), Took: time.Since(began)})
	return lease, nil
}

// lockKey is lock without its events, but for EventWaiting.
func (c *Client) lockKey(ctx context.Context, op, key string, wait bool, opts []LockOption, began time.Time) (*Lease, error) {
	cfg, err := c.lockConfig(opts)
	if err != nil {
		return nil, &Error{Op: op, Backend: c.info.Name, Key: key, Kind: ErrInvalid, Err: err}
	}
	call, err := c.begin(ctx, op, key)
	if err != nil {
		return nil, err
	}
	defer call.end()
	req := driver.Request{Key: key, Identity: cfg.identity, Meta: cfg.meta, TTL: cfg.ttl, Wait: wait}
	last := &call.turn.last
	var onWaiting func()
	if wait {
		if last, err = c.turns.take(call, key); err != nil {
			return nil, c.contextEnded(call, op, key, nil, last)
		}
		defer c.turns.handOn(key)
		if c.events != nil {
			var once sync.Once
			onWaiting = func() {
				once.Do(func() { c.observe(call, Event{Kind: EventWaiting, Key: key, Took: time.Since(began)}) })
			}
			// A backend may still be about to say that the attempt waited. Either it comes
			// before this, and so before the event that ends the wait; or it is not told.
			defer once.Do(func() {})
		}
	}
	lease, err := c.acquire(call, req, &cfg, last, onWaiting)
	switch {
	case err == nil:
		return lease, nil
	case call.Err() != nil:
		if kind, why := last.errorKind(); kind == ErrUnavailable { //nolint:errorlint // one of ours
			last.failed(why) // for those behind us, who have not asked
		}
		return nil, c.contextEnded(call, op, key, err, last)
	}
	return nil, c.callError(op, key, err)
}

// Do runs fn under the lock of key, and unlocks when fn has returned or
// panicked. The context given to fn ends when the lease does, or when ctx does;
// context.Cause tells why.
//
// The returned error is fn's, joined with Unlock's: errors.Is(err, ErrLost) says
// that the lease had gone before fn was done, even if fn itself returned nil. If
// the lock was not granted, fn is not called.
func Do(ctx context.Context, l Locker, key string, fn func(context.Context, *Lease) error, opts ...LockOption) (err error) {
	switch {
	case l == nil:
		return &Error{Op: "lock", Key: key, Kind: ErrInvalid, Err: errors.New("the Locker is nil")}
	case fn == nil:
		return &Error{Op: "lock", Key: key, Kind: ErrInvalid, Err: errors.New("the function is nil")}
	}
	lease, err := l.Lock(ctx, key, opts...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lease.Unlock(ctx)) }()
	return fn(lease.Context(ctx), lease)
}

// DoValue is [Do] for a function that returns a value. The value is fn's, whatever the error
// is: check the error first, as ever. If the lock was not granted it is T's zero value.
func DoValue[T any](ctx context.Context, l Locker, key string, fn func(context.Context, *Lease) (T, error), opts ...LockOption) (T, error) {
	var value T
	var run func(context.Context, *Lease) error // nil for a nil fn, which Do refuses
	if fn != nil {
		run = func(ctx context.Context, lease *Lease) (err error) {
			value, err = fn(ctx, lease)
			return err
		}
	}
	err := Do(ctx, l, key, run, opts...)
	return value, err
}
