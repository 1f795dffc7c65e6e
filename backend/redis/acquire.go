package redis

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// Acquire asks once. If the lock is held and req.Wait is set, the attempt then waits in the
// server's queue for the notification of its grant. Within each third of the TTL Acquire asks
// again: that keeps the position in the queue, finds a grant whose notification was lost,
// and hands the lock on if its holder has died.
//
// When may a notification be trusted without asking? The server counts the TTL of the
// grant from the moment of the hand-off. If the hand-off came after the last
// request that was answered "waiting", the send time of that request is a safe
// Start. But a notification may be late, and tell of an older hand-off, whose grant was
// evicted or expired before that answer. So the answer names the last token that had
// been granted by then. A notification with a greater token is of a later hand-off; any
// other is only a hint to ask. Before the first answer, the send time of the first
// request is a safe Start if the attempt had never asked before (Retry is false).
func (b *backend) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	a, came, err := b.registry.enter(req)
	if err != nil {
		return driver.Grant{}, err
	}
	p := part{
		kind:    kind{acquireScript, b.ttl.text(req.TTL), modeOf(req), a.identity},
		lock:    b.lockKey(req.Key),
		attempt: req.AttemptID,
		timeout: driver.RequestTimeout(req.TTL),
	}
	var wake chan struct{} // of notifications; nil until the attempt waits
	defer func() { b.registry.leave(a, wake) }()

	var confirmed time.Time // a safe Start for a grant by notification; zero while there is none
	var seen fencing.Token  // a notification must have a greater one
	if !req.Retry {
		confirmed = time.Now()
	}
	for {
		got := b.store.ask(ctx, p)
		if got.err != nil {
			if wasSent(got.err) {
				b.registry.noAnswer(a)
			}
			// The answer was lost, but the notification may have come.
			if token := b.registry.granted(a); token > seen && !confirmed.IsZero() {
				return b.grant(a, token, confirmed, req.TTL)
			}
			return driver.Grant{}, node.Classify(ctx, got.err)
		}
		var pause time.Duration // until we ask again
		switch r := got.reply.(type) {
		case nil:
			return driver.Grant{}, driver.ErrReleased
		case int64:
			if r > 0 {
				return b.grant(a, fencing.Token(r), got.sent, req.TTL)
			}
			return driver.Grant{}, &driver.HeldError{} // the lease has ended, and others wait
		case []any:
			if !req.Wait {
				return driver.Grant{}, heldBy(r)
			}
			isFirst, ahead, last, err := parseWaiting(r)
			if err != nil {
				return driver.Grant{}, err
			}
			confirmed, seen = got.sent, max(seen, last) // it falls if the server has lost its data, and its clock was set back
			if req.Waiting != nil {
				req.Waiting()
			}
			pause = nextConfirm(req.TTL, isFirst, ahead)
		default:
			return driver.Grant{}, unexpected("acquire", got.reply)
		}

		if wake == nil {
			wake = b.registry.await(a, came)
		}
		next := time.NewTimer(pause)
		select {
		case <-wake:
			if token := b.registry.granted(a); token > seen {
				next.Stop()
				return b.grant(a, token, confirmed, req.TTL)
			}
		case <-next.C:
		case <-b.closing.Done():
			next.Stop()
			return driver.Grant{}, node.ErrClosed
		case <-ctx.Done():
			next.Stop()
			// A notification that comes at this moment is lost: the core releases
			// the attempt, and with it a grant that it may have got.
			return driver.Grant{}, context.Cause(ctx)
		}
		next.Stop()
	}
}

func modeOf(req driver.Request) string {
	if req.Wait {
		return "wait"
	}
	return "try"
}

// nextConfirm is how long a waiter may stay silent: a third of its TTL, less some
// jitter so that waiters that came together do not ask together.
//
// For the first in the queue, ahead is what is left of the holder's lease. The first also asks when
// that ends, since the holder may have died, and nobody else would notice. For the others, ahead is
// the least TTL of the waiters. They ask within a third of that, since the waiter before them may have
// died: it gets the lock all the same, and the waiter behind it must learn that it has become the first
// before that lease ends.
func nextConfirm(ttl time.Duration, isFirst bool, ahead time.Duration) time.Duration {
	if !isFirst {
		ttl = min(ttl, ahead)
	}
	pause := ttl/3 - rand.N(ttl/24+1)
	if isFirst {
		pause = min(pause, ahead+time.Millisecond)
	}
	return pause
}

// grant hands out the grant with a token. If a Release came first, it does not. That Release has found an
// Acquire under way, so the server either ends the grant or, where Release reached it first, has refused it
// by the tombstone.
func (b *backend) grant(a *attempt, token fencing.Token, start time.Time, ttl time.Duration) (driver.Grant, error) {
	b.registry.mu.Lock()
	defer b.registry.mu.Unlock()
	return b.registry.Grant(a, token, start, ttl)
}

// heldBy is the error of an attempt that does not wait: what is left of the holder's lease, and who
// the holder is.
func heldBy(r []any) error {
	if len(r) == 2 {
		ms, ok1 := r[0].(int64)
		joined, ok2 := r[1].(string)
		if ok1 && ok2 {
			left := time.Duration(max(ms, 0)) * time.Millisecond
			identity, _ := driver.SplitIdentity(joined)
			return &driver.HeldError{RetryAfter: left, Identity: identity, Left: left}
		}
	}
	return unexpected("acquire", r)
}

func parseWaiting(r []any) (isFirst bool, ahead time.Duration, last fencing.Token, err error) {
	if len(r) == 3 {
		first, ok1 := r[0].(int64)
		ms, ok2 := r[1].(int64)
		last, ok3 := r[2].(int64)
		if ok1 && ok2 && ok3 && last >= 0 {
			return first == 1, time.Duration(max(ms, 0)) * time.Millisecond, fencing.Token(last), nil
		}
	}
	return false, 0, 0, unexpected("acquire", r)
}
