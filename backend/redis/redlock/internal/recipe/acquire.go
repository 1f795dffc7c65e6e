package recipe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// maxSplits is how often a try that does not wait is repeated where no attempt got a majority. Nobody
// has the lock then, and one of those who want it will, unless they go on together.
const maxSplits = 3

var (
	errConcurrent   = fmt.Errorf("%w: another call asks for the same attempt", driver.ErrUnavailable)
	errEvictedEarly = fmt.Errorf("%w: the grant was ended before it was complete", driver.ErrUnavailable)
	errListChanged  = fmt.Errorf("%w: nodes were replaced meanwhile", driver.ErrUnavailable)
	errSlow         = fmt.Errorf("%w: the nodes took longer to answer than the lease lasts", driver.ErrUnavailable)
)

// Acquire takes the key on a majority of nodes, try by try. Each has a number of its own, and what one
// that failed has won is ended by the nodes' callbacks, also when Acquire has returned.
//
// Success against cancellation: the claim's mutex decides which came first. If the answer that
// completed a try is before the look that follows the end of ctx, the caller gets the grant. If it
// is after, the try has failed by then, and whatever it has, or gets, is ended.
//
// Success against Release, which nobody calls for an attempt that asks, but a packet may be late: if
// Release is before that look, the try has failed, too. If it is after, it finds a grant.
func (b *Backend) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	switch {
	case b.closing.Err() != nil:
		return driver.Grant{}, errClosed
	case ctx.Err() != nil:
		return driver.Grant{}, context.Cause(ctx)
	}
	w := b.newCall()
	defer b.done(w)
	c, err := b.ledger.enter(req, w.signal)
	if err == nil && c.granted() {
		g, failed := b.confirm(ctx, c)
		if !errors.Is(failed, driver.ErrNotHeld) {
			c.leave()
			return g, failed
		}
		// The caller never heard of that grant, or it would not ask. It is gone, and the next is another.
		c, err = b.ledger.again(c, req, w.signal)
	}
	if err != nil {
		return driver.Grant{}, err
	}
	defer c.leave()
	if b.fairness.enter(req.Key, b.soon()) && req.Wait {
		b.join(c, req)
		c.setAlarm(b.confirmIn(req.TTL))
		if err := b.pause(ctx, c, w); err != nil {
			b.wakeWaiters(b.fairness.takeDeferred(req.Key, nil))
			return driver.Grant{}, err
		}
	}
	g, err := b.acquire(ctx, c, req, w)
	if err != nil {
		b.wakeWaiters(b.fairness.takeDeferred(req.Key, nil))
	}
	return g, err
}

func (b *Backend) acquire(ctx context.Context, c *claim, req driver.Request, w *call) (driver.Grant, error) {
	var t *try
	for split := 0; ; {
		t = b.begin(c, req, t)
		v, err := t.decide(ctx, w)
		switch v {
		case vote.Granted:
			return driver.Grant{
				Key: req.Key, AttemptID: req.AttemptID, Token: fencing.Token(t.votes.Token()), Start: t.start, TTL: req.TTL, Handle: c,
			}, nil
		case vote.GivenUp:
			if !errors.Is(err, errEvictedEarly) && !errors.Is(err, errListChanged) {
				return driver.Grant{}, err
			}
			c.setAlarm(0)
		case vote.Ended:
			// An operator has ended this try: the next has a number that is not kept out. If that is, too, the
			// attempt was released before this client can remember.
			if split++; split > maxSplits {
				return driver.Grant{}, driver.ErrReleased
			}
			c.setAlarm(0)
		case vote.NoQuorum:
			// A majority may have answered, and be divided between two that want the lock; or have lost it
			// before the token was written back. Who waits goes on, since one of them will have it; who does
			// not has no answer, if it stays so.
			split++
			if !t.answered() || !req.Wait && split == maxSplits {
				t.awaitAll(ctx, w)
				return driver.Grant{}, t.noQuorum()
			}
			c.setAlarm(b.backoff(split, req.TTL))
		case vote.Held:
			split = 0
			b.fairness.metHolder(req.Key, t.start)
			t.setConfirm()
		default:
			split++
			c.setAlarm(b.backoff(split, req.TTL))
		}
		if !req.Wait && (v == vote.Held || split >= maxSplits) {
			b.ledger.forget(c) // nothing is left of it that its callbacks do not end
			return driver.Grant{}, t.heldError()
		}
		if req.Waiting != nil && req.Wait && v != vote.Ended { // a majority has answered, and not for us
			req.Waiting()
		}
		if err := b.pause(ctx, c, w); err != nil {
			return driver.Grant{}, err
		}
	}
}

// confirm answers an attempt that asks again for what it has: by a renewal, with the token that it got.
func (b *Backend) confirm(ctx context.Context, c *claim) (driver.Grant, error) {
	g := c.grant()
	r := b.Renew(ctx, []driver.Grant{g})[0]
	if r.Err != nil {
		if ctx.Err() != nil && !errors.Is(r.Err, driver.ErrNotHeld) {
			return driver.Grant{}, context.Cause(ctx)
		}
		return driver.Grant{}, r.Err
	}
	g.Start, g.TTL = r.Start, r.TTL
	return g, nil
}

func (c *claim) granted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held
}

// heldSince is when the try began that was granted, or zero.
func (c *claim) heldSince() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.held {
		return time.Time{}
	}
	return c.began
}

func (c *claim) grant() driver.Grant {
	c.mu.Lock()
	defer c.mu.Unlock()
	return driver.Grant{Key: c.key, AttemptID: c.attemptID, Token: fencing.Token(c.token), TTL: c.ttl, Handle: c}
}

// leave ends the call that asks for the claim.
func (c *claim) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signal = nil
}

// setConfirm has a waiter ask again when it is time to.
func (t *try) setConfirm() {
	t.c.mu.Lock()
	defer t.c.mu.Unlock()
	t.c.askAt = t.confirmAt()
}

// setAlarm has a waiter ask again after d.
func (c *claim) setAlarm(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.askAt = time.Now().Add(d)
}
