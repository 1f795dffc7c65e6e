package fencelock

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// acquire asks the backend until it gets a grant with time left, or must give up. If it
// fails, nothing of the attempt stays on the server. It calls onWaiting, if that is not nil,
// when the server says that the attempt waits.
//
// Success against cancellation: if the backend returned a grant, the caller gets the lease,
// even when ctx ended at that moment. ctx bounds the wait, and the wait is over. If the
// backend returned ctx's error, the server may have granted just then: the janitor releases
// the attempt, and an attempt that has been released gets no grant from a packet that arrives
// later. So in each order either the caller has the lease, or nobody in this process has it.
func (c *Client) acquire(ctx *call, req driver.Request, cfg *lockConfig, last *lastAnswer, onWaiting func()) (*Lease, error) {
	lease := c.newLease(req.Key, cfg)
	req.AttemptID, req.Lost = newAttemptID(), lease.onLost
	if req.Wait {
		ttl := req.TTL // req itself would then be on the heap
		req.Waiting = func() {
			ctx.queued.Store(true)
			last.held(ttl, nil)
			if onWaiting != nil {
				onWaiting()
			}
		}
	}
	// abandon has the janitor remove what the attempt may have left. That should be nothing
	// where all that was sent was refused.
	abandon := func() {
		c.janitor.cleanUp(driver.Grant{Key: req.Key, AttemptID: req.AttemptID, TTL: req.TTL}, !req.Retry && !ctx.queued.Load())
	}
	var unanswered retryWindow
	patient := req.Wait // as Lock, not as TryLock
	for {
		sent := time.Now()
		last.requestSent(req.TTL)
		grant, err := c.backend.Acquire(ctx, req)
		if err == nil {
			if err := c.checkGranted(grant); err != nil {
				c.janitor.release(grant)
				return nil, err
			}
			c.clock.Look() // the machine may have been suspended since grant.Start
			// A grant that was pushed may be older than its request; one that was asked
			// for came by a round trip.
			now := time.Now()
			took := min(now.Sub(sent), now.Sub(grant.Start))
			if now.Before(c.trustedUntil(grant)) {
				// Close waits for this call to end before it unlocks the leases it
				// knows, so one that is made while it waits does not escape it.
				last.held(req.TTL, nil)
				if ctx.queued.Load() {
					took = 0 // it may have been pushed: the wait tells nothing of the network
				}
				lease.hold(grant, took) // its renewal outlives the call
				return lease, nil
			}
			// The grant came so late (a paused process, a slow network, a suspended machine)
			// that nothing of it can be trusted. Give it back, and begin again as a new
			// attempt: the old one must never be granted to again.
			c.janitor.release(grant)
			lease = c.newLease(req.Key, cfg)
			req.AttemptID, req.Lost, req.Retry = newAttemptID(), lease.onLost, false
			ctx.queued.Store(false)
			woke := c.clock.Woke(grant.Start)
			patient = patient || woke
			err = fmt.Errorf("%w: the grant arrived when its lease had ended", driver.ErrUnavailable)
			if !woke {
				err = fmt.Errorf("%w%s", err, tooSlow(took, req.TTL))
			}
		} else if errors.Is(err, driver.ErrHeld) {
			if req.Wait {
				req.Waiting()
			}
		} else if !errors.Is(err, driver.ErrRefused) {
			req.Retry = true
		}
		switch {
		case errors.Is(err, driver.ErrHeld):
			last.held(req.TTL, err)
		case !endedBy(ctx, err): // which would tell nothing of the server
			last.failed(withoutContext(err))
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
			unanswered = retryWindow{}
			pause = jitter(req.TTL / 16)
			if held := (*driver.HeldError)(nil); errors.As(err, &held) && held.RetryAfter > 0 {
				pause = held.RetryAfter
			}
		case errors.Is(err, driver.ErrUnavailable):
			var goOn bool
			if pause, goOn = unanswered.next(last.heldSince(unanswered.began), time.Since(sent), req.TTL, patient); !goOn {
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

// newAttemptID names an attempt by 128 random bits. If a name came back, a late packet of one
// attempt could act for another.
func newAttemptID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: crypto/rand crashes the program instead
	return hex.EncodeToString(b[:])
}
