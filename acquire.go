package fencelock

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Lock waits until it holds the lock of key, or until ctx ends. ctx governs the
// wait only. Locks are not reentrant: a goroutine that locks a key twice waits
// for itself.
//
// While it waits, an outage of the server of up to one TTL is ridden out. The
// error is ctx's (errors.Is with context.Canceled and so on), or of kind
// ErrUnavailable, ErrClosed or ErrInvalid, or the server's own where asking
// again would not help. After an error nothing is held: what the attempt may
// have left on the server is released in the background, and ends by itself
// after the TTL at the latest.
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
		o.apply(&cfg)
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
	if wait {
		if err := c.turns.take(ctx, key); err != nil {
			return nil, c.fault(ctx, op, key, err)
		}
		defer c.turns.pass(key)
	}
	lease, err := c.acquire(ctx, driver.Request{Key: key, Meta: c.identity, TTL: ttl, Wait: wait})
	if err != nil {
		return nil, c.fault(ctx, op, key, err)
	}
	return lease, nil
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
func (c *Client) acquire(ctx context.Context, req driver.Request) (*Lease, error) {
	lease := c.newLease(req.Key)
	req.Owner, req.Lost = newOwner(), lease.onLost
	var silent silence
	patient := req.Wait
	for {
		sent := time.Now()
		grant, err := c.backend.Acquire(ctx, req)
		if err == nil {
			c.clock.Look() // the machine may have been suspended since grant.Start
			if time.Now().Before(c.trustedUntil(grant)) {
				// Close waits for this call to end before it unlocks the leases it
				// knows, so one that is made while it waits does not escape it.
				lease.hold(grant) //nolint:contextcheck // its renewal outlives the call
				return lease, nil
			}
			// It came so late (a paused process, a slow network, a suspended machine)
			// that nothing of it can be trusted. Give it back, and begin again under a new name:
			// the old one must never be granted to again.
			c.janitor.release(grant)
			lease = c.newLease(req.Key)
			req.Owner, req.Lost, req.Retry = newOwner(), lease.onLost, false
			patient = patient || c.clock.Woke(grant.Start)
			err = fmt.Errorf("%w: the grant arrived after its lease had ended", driver.ErrUnavailable)
		} else if !errors.Is(err, driver.ErrHeld) {
			req.Retry = true
		}

		var pause time.Duration
		switch {
		case ctx.Err() != nil:
			c.abandon(req)
			return nil, context.Cause(ctx)
		case errors.Is(err, driver.ErrHeld) && !req.Wait:
			// A definite no leaves nothing behind; but an earlier request without
			// an answer may still be on its way.
			if req.Retry {
				c.abandon(req)
			}
			return nil, err
		case errors.Is(err, driver.ErrHeld):
			silent = silence{}
			pause = jitter(req.TTL / 16)
			if held := (*driver.HeldError)(nil); errors.As(err, &held) && held.RetryAfter > 0 {
				pause = held.RetryAfter
			}
		case errors.Is(err, driver.ErrUnavailable):
			var goOn bool
			if pause, goOn = silent.next(sent, req.TTL, patient); !goOn {
				c.abandon(req)
				return nil, err
			}
		default:
			c.abandon(req)
			return nil, err
		}
		if !sleep(ctx, pause) {
			c.abandon(req)
			return nil, context.Cause(ctx)
		}
	}
}

// abandon has the janitor remove whatever the attempt left, granted or waiting.
func (c *Client) abandon(req driver.Request) {
	c.janitor.release(driver.Grant{Key: req.Key, Owner: req.Owner, TTL: req.TTL})
}

// silence counts requests in a row that got no answer.
type silence struct {
	since time.Time // the first of them failed
	count int
}

// next takes in that the request sent at the given time failed. It says whether
// to ask again, and after which pause: Lock asks for as long as a TTL (by then
// its place in the queue is gone anyway), TryLock once more. TryLock is as patient as
// Lock right after the machine woke up, when a backend may go by what the server
// confirmed before.
func (s *silence) next(sent time.Time, ttl time.Duration, patient bool) (pause time.Duration, goOn bool) {
	now := time.Now()
	if s.count == 0 || now.Sub(sent) > ttl {
		// A call that lasted longer than a TTL was waiting in the server's queue,
		// with answers until shortly before.
		*s = silence{since: now}
	}
	s.count++
	if patient && now.Sub(s.since) >= ttl || !patient && s.count > 1 {
		return 0, false
	}
	return backoff(s.count, ttl), true
}

// backoff is the pause before try n+1: from 1 ms, doubling, up to a sixteenth of
// the TTL; with jitter.
func backoff(n int, ttl time.Duration) time.Duration {
	return jitter(min(time.Millisecond<<min(n, 20), max(ttl/16, time.Millisecond)))
}

// jitter returns a random duration between half of d and d.
func jitter(d time.Duration) time.Duration {
	if d <= 1 {
		return d
	}
	return d/2 + mathrand.N(d/2)
}

// sleep waits for d; it returns false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// newOwner names an attempt: 128 random bits. A name that came back would let a
// late packet of one attempt act for another (redsync reuses it over its tries).
func newOwner() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand crashes the program instead
	return hex.EncodeToString(b[:])
}
