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
// Success against cancellation: the attempt's mutex decides which came first. If the answer that
// completed a try is before the look that follows the end of ctx, the caller gets the grant. If it
// is after, the try has failed by then, and whatever it has, or gets, is ended.
//
// Success against Release, which nobody calls for an attempt that asks, but a packet may be late: if
// Release is before the grant is handed out, the try has failed, too. If it is after, it finds a grant.
func (b *Backend) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	switch {
	case b.closing.Err() != nil:
		return driver.Grant{}, errClosed
	case ctx.Err() != nil:
		return driver.Grant{}, context.Cause(ctx)
	}
	w := b.calls.begin()
	defer b.calls.end(w)
	a, held, err := b.registry.enter(req, w.signal)
	if err != nil {
		return driver.Grant{}, err
	}
	defer b.registry.leave(a)
	if held {
		return b.confirm(ctx, a, req)
	}
	if b.fairness.enter(req.Key, b.pace.soon()) && req.Wait {
		b.join(a, req)
		a.setAlarm(b.pace.confirmIn(req.TTL))
		if err := b.pause(ctx, a, w); err != nil {
			b.wakeWaiters(b.fairness.takeDeferred(req.Key, nil))
			return driver.Grant{}, err
		}
	}
	g, err := b.acquire(ctx, a, req, w)
	if err != nil {
		b.wakeWaiters(b.fairness.takeDeferred(req.Key, nil))
	}
	return g, err
}

func (b *Backend) acquire(ctx context.Context, a *attempt, req driver.Request, w *call) (driver.Grant, error) {
	var t *try
	for split := 0; ; {
		t = b.begin(a, req, t)
		v, err := t.decide(ctx, w)
		switch v {
		case vote.Granted:
			g, err := t.handOut()
			if !errors.Is(err, errEvictedEarly) && !errors.Is(err, errListChanged) {
				return g, err
			}
			a.setAlarm(0)
		case vote.GivenUp:
			return driver.Grant{}, err
		case vote.Ended:
			// An operator has ended this try: the next has a number that is not kept out. If that is, too, the
			// attempt was released before this client can remember.
			if split++; split > maxSplits {
				return driver.Grant{}, driver.ErrReleased
			}
			a.setAlarm(0)
		case vote.NoQuorum:
			// A majority may have answered, and be divided between two that want the lock; or have lost it
			// before the token was written back. Who waits goes on, since one of them will have it; who does
			// not has no answer, if it stays so.
			split++
			if !t.answered() || !req.Wait && split == maxSplits {
				t.awaitAll(ctx, w)
				return driver.Grant{}, t.noQuorum()
			}
			a.setAlarm(b.pace.backoff(split, req.TTL))
		case vote.Held:
			split = 0
			b.fairness.metHolder(req.Key, t.start)
			t.setConfirm()
		default:
			split++
			a.setAlarm(b.pace.backoff(split, req.TTL))
		}
		if !req.Wait && (v == vote.Held || split >= maxSplits) {
			b.registry.forget(a) // nothing is left of it that its callbacks do not end
			return driver.Grant{}, t.heldError()
		}
		if req.Waiting != nil && req.Wait && v != vote.Ended { // a majority has answered, and not for us
			req.Waiting()
		}
		if err := b.pause(ctx, a, w); err != nil {
			return driver.Grant{}, err
		}
	}
}

// confirm answers an attempt that asks again for what it has: by a renewal, with the token that it got. If its grant
// has gone, it stays out.
func (b *Backend) confirm(ctx context.Context, a *attempt, req driver.Request) (driver.Grant, error) {
	r := b.Renew(ctx, []driver.Grant{{Key: a.Key, AttemptID: a.AttemptID, TTL: req.TTL, Handle: a}})[0]
	switch {
	case errors.Is(r.Err, driver.ErrNotHeld):
		return driver.Grant{}, driver.ErrReleased
	case r.Err != nil && ctx.Err() != nil:
		return driver.Grant{}, context.Cause(ctx)
	case r.Err != nil:
		return driver.Grant{}, r.Err
	}
	b.registry.mu.Lock()
	defer b.registry.mu.Unlock()
	return b.registry.Grant(a, fencing.Token(a.token), r.Start, r.TTL)
}

// setConfirm has a waiter ask again when it is time to.
func (t *try) setConfirm() {
	t.a.mu.Lock()
	defer t.a.mu.Unlock()
	t.a.askAt = t.confirmAt()
}

// setAlarm has a waiter ask again after d.
func (a *attempt) setAlarm(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.askAt = time.Now().Add(d)
}
