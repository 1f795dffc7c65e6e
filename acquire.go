package fencelock

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Lock waits until it holds the lock of key, or until ctx ends. ctx governs the
// wait only. Locks are not reentrant: a goroutine that locks a key twice waits
// for itself.
//
// While it waits, an outage of the server of up to one TTL is ridden out. If ctx ends
// first, the error matches ctx's (errors.Is with context.Canceled and so on) and, besides,
// ErrHeld if the server had lately said that another has the lock, or ErrUnavailable if
// it was last silent: so a short wait on a dead server does not look like a busy lock.
// Otherwise the error is of kind ErrUnavailable, ErrClosed or ErrInvalid; of kind
// ErrRefused where the server said no; or the server's own where asking again would not
// help. After an error nothing is held: what the attempt may have left on the server is
// released in the background, and ends by itself after the TTL at the latest.
func (c *Client) Lock(ctx context.Context, key string, opts ...LockOption) (*Lease, error) {
	return c.lock(ctx, "lock", key, true, opts)
}

// TryLock takes the lock of key if it is free. If another holds it, or waits for
// it, TryLock returns ErrHeld at once and leaves nothing on the server. Otherwise
// it is like [Client.Lock], except that it gives up with ErrUnavailable after the
// second request that got no answer.
func (c *Client) TryLock(ctx context.Context, key string, opts ...LockOption) (*Lease, error) {
	return c.lock(ctx, "try lock", key, false, opts)
}

func (c *Client) lock(ctx context.Context, op, key string, wait bool, opts []LockOption) (*Lease, error) {
	if err := c.made(op, key); err != nil {
		return nil, err
	}
	began := time.Now()
	lease, err := c.tryToLock(ctx, op, key, wait, opts)
	if err != nil {
		c.observe(ctx, Event{Kind: EventNotAcquired, Key: key, Took: time.Since(began), Err: err})
		return nil, err
	}
	c.observe(ctx, Event{Kind: EventAcquired, Key: key, Token: lease.Token(), Took: time.Since(began)})
	return lease, nil
}

func (c *Client) tryToLock(ctx context.Context, op, key string, wait bool, opts []LockOption) (*Lease, error) {
	cfg := lockConfig{ttl: c.ttl}
	for _, o := range opts {
		if o != nil { // nil changes nothing
			o.apply(&cfg)
		}
	}
	ttl, err := checkTTL("WithTTL", cfg.ttl, c.info)
	if err != nil {
		return nil, &Error{Op: op, Backend: c.info.Name, Key: key, Kind: ErrInvalid, Err: err}
	}
	ctx, done, err := c.enter(ctx, op, key)
	if err != nil {
		return nil, err
	}
	defer done()
	req := driver.Request{Key: key, Identity: c.identity, TTL: ttl, Wait: wait}
	var word *heard
	if wait {
		if word, err = c.turns.take(ctx, key); err != nil {
			return nil, c.ended(ctx, op, key, nil, word)
		}
		defer c.turns.pass(key)
	} else {
		word = &heard{}
	}
	lease, err := c.acquire(ctx, req, word)
	switch {
	case err == nil:
		return lease, nil
	case ctx.Err() != nil:
		if kind, why := word.verdict(); kind == ErrUnavailable { //nolint:errorlint // one of ours
			word.failed(why) // for those behind us, who have not asked
		}
		return nil, c.ended(ctx, op, key, err, word)
	}
	return nil, c.fault(op, key, err)
}

// acquire asks the backend until it gets a grant with time left, or must give
// up. However it fails, nothing of the attempt stays on the server.
//
// Success against cancellation: if the backend returned a grant, the caller gets
// the lease, even when ctx ended at that moment; ctx bounds the wait, and the
// wait is over. If the backend returned ctx's error, the server may have granted
// just then; the janitor releases by owner, and an owner that has been released
// gets no grant from a packet that arrives later. Either way one of the two
// holds: the caller has the lease, or nobody of this process has.
func (c *Client) acquire(ctx context.Context, req driver.Request, word *heard) (*Lease, error) {
	lease := c.newLease(req.Key)
	req.AttemptID, req.Lost = newOwner(), lease.onLost
	var placed atomic.Bool // in the server's queue
	if req.Wait {
		req.Waiting = func() {
			placed.Store(true)
			word.held(req.TTL)
		}
	}
	// abandon has the janitor remove whatever the attempt may have left. That should be
	// nothing where all that was sent was refused.
	abandon := func() {
		c.janitor.sweepUp(driver.Grant{Key: req.Key, AttemptID: req.AttemptID, TTL: req.TTL}, !req.Retry && !placed.Load())
	}
	var silent silence
	patient := req.Wait
	for {
		sent := time.Now()
		word.asked(req.TTL)
		grant, err := c.backend.Acquire(ctx, req)
		if err == nil {
			if err := c.checkGranted(grant); err != nil {
				c.janitor.release(grant)
				return nil, err
			}
			c.clock.Look() // the machine may have been suspended since grant.Start
			// A grant that was pushed may be older than its request; one that was asked
			// for came by a round trip.
			took := min(time.Since(sent), time.Since(grant.Start))
			if time.Now().Before(c.trustedUntil(grant)) {
				// Close waits for this call to end before it unlocks the leases it
				// knows, so one that is made while it waits does not escape it.
				word.held(req.TTL)
				if placed.Load() {
					took = 0 // it may have been pushed: the wait tells nothing of the network
				}
				lease.hold(grant, took) //nolint:contextcheck // its renewal outlives the call
				return lease, nil
			}
			// It came so late (a paused process, a slow network, a suspended machine)
			// that nothing of it can be trusted. Give it back, and begin again under a new name:
			// the old one must never be granted to again.
			c.janitor.release(grant)
			lease = c.newLease(req.Key)
			req.AttemptID, req.Lost, req.Retry = newOwner(), lease.onLost, false
			placed.Store(false)
			woke := c.clock.Woke(grant.Start)
			patient = patient || woke
			err = fmt.Errorf("%w: the grant arrived when its lease had ended", driver.ErrUnavailable)
			if !woke {
				err = fmt.Errorf("%w%s", err, tooSlow(took, req.TTL))
			}
		} else if errors.Is(err, driver.ErrHeld) {
			placed.Store(req.Wait)
		} else if !errors.Is(err, driver.ErrRefused) {
			req.Retry = true
		}
		switch {
		case errors.Is(err, driver.ErrHeld):
			word.held(req.TTL)
		case !endedBy(ctx, err): // which would tell nothing of the server
			word.failed(own(err))
		}

		var pause time.Duration
		switch {
		case errors.Is(err, driver.ErrHeld) && !req.Wait:
			// A definite no leaves nothing behind; but an earlier request without
			// an answer may still be on its way. If ctx has ended, too, the no came
			// all the same.
			if req.Retry {
				abandon()
			}
			return nil, err
		case ctx.Err() != nil:
			abandon()
			return nil, err
		case errors.Is(err, driver.ErrHeld):
			silent = silence{}
			pause = jitter(req.TTL / 16)
			if held := (*driver.HeldError)(nil); errors.As(err, &held) && held.RetryAfter > 0 {
				pause = held.RetryAfter
			}
		case errors.Is(err, driver.ErrUnavailable):
			var goOn bool
			if pause, goOn = silent.next(word.since(silent.began), time.Since(sent), req.TTL, patient); !goOn {
				abandon()
				return nil, err
			}
		default:
			abandon()
			return nil, err
		}
		if !sleep(ctx, pause) {
			abandon()
			return nil, context.Cause(ctx)
		}
	}
}

// newOwner names an attempt: 128 random bits. A name that came back would let a
// late packet of one attempt act for another (redsync reuses it over its tries).
func newOwner() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand crashes the program instead
	return hex.EncodeToString(b[:])
}
