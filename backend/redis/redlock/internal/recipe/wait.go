package recipe

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// maxConfirm is how long a waiter sleeps at most before it asks again, whatever its TTL. If the
// waiter before it has died, nobody else will tell it that the key is free.
const maxConfirm = 3 * time.Second

// confirmIn is after how long a waiter asks again, if nothing tells it to: so that its position stays, in
// time for [driver.Request].Waiting, and with some jitter, so that those that came together do not ask
// together.
func (b *Backend) confirmIn(ttl time.Duration) time.Duration {
	d := min(ttl/3, maxConfirm)
	return d - b.random(d/8+1)
}

// confirmAt is when a waiter asks again after a try that met another's lock. Called with the claim's
// mutex held.
//
// It asks sooner where it may have missed that the lock is free, and ever less soon if that goes on:
//   - Its home has not answered, so it is in no queue, as far as it knows.
//   - Its home took the key for it. Then the holder is about to release, and the Ends of other nodes
//     are still on their way; or has lost its home. It joins the queue there, but that may be too late.
//   - It was told that the key is free, and met another. That one may have been told as well.
func (t *try) confirmAt() time.Time {
	c, b := t.c, t.b
	d := b.confirmIn(t.ttl)
	if t.home < 0 {
		return time.Now().Add(d)
	}
	done, _, _ := t.votes.Answered()
	switch {
	case t.unanswered().Has(t.home):
		d = min(d, b.lateAfter())
	case done.Has(t.home), t.wasNotified:
		d = min(d, 5*b.roundTrip()<<min(c.hurries, 20))
		c.hurries++
	default:
		c.hurries = 0
	}
	return time.Now().Add(d)
}

// join puts an attempt among the waiters of a key that this client has just freed for others, and takes
// nothing: a Take could meet that of the one who was told.
func (b *Backend) join(c *claim, req driver.Request) {
	home := b.home(req.Key, 0)
	end := wire.End{
		Key: req.Key, ID: wire.ID{AttemptID: req.AttemptID, Try: b.tries.Add(1)}, Failed: true, Queue: true, Channel: b.channel, TTL: onNode(req.TTL),
	}
	c.mu.Lock()
	c.last, c.began, c.ttl, c.meta = end.ID.Try, time.Now(), req.TTL, driver.JoinIdentity(req.Identity, req.Meta)
	c.outstanding[home]++
	c.queued = c.queued.With(home)
	c.mu.Unlock()
	b.nodes[home].Send(b.closing, end, driver.RequestTimeout(req.TTL), func(_ any, err error) {
		c.settled(home, err)
		if err != nil {
			c.askNow() // ask
		}
	})
}

// soon is within what time a client comes back that takes a key again and again.
func (b *Backend) soon() time.Duration {
	return min(max(4*b.roundTrip(), time.Millisecond), 50*time.Millisecond)
}

// backoff is the pause after the given number of tries in a row in which nobody got a majority:
// anything between nothing and a bound that doubles, so that those who met do not meet again.
func (b *Backend) backoff(n int, ttl time.Duration) time.Duration {
	most := min(2*b.roundTrip()<<min(n-1, 10), ttl/16, 50*time.Millisecond)
	return b.random(most + 1)
}

// home is the node whose queue the waiters of a key join: the first, in an order that depends on
// the key, that is fit. A releaser tells the first waiter of each node, so nothing depends on
// all clients agreeing about the home; but if they do, a release wakes one of them. A node
// that is mute, since it has not answered two tries in a row, is none; if it was one reply that was lost,
// the attempt is in the queue there.
func (b *Backend) home(key string, mute vote.Set) int {
	n, from := len(b.nodes), script.Shard(key)
	for i := range n {
		if node := (from + i) % n; !mute.Has(node) && b.nodes[node].Fit() == nil {
			return node
		}
	}
	return from % n
}

// pause sleeps until it is time to ask again.
//
// No request is on its way that could grant anything, so ctx and a notice do not race: if ctx ends
// first, the notice is lost with the waiter, and its Release has the node tell the next.
func (b *Backend) pause(ctx context.Context, c *claim, w *call) error {
	c.mu.Lock()
	began := c.began
	c.mu.Unlock()
	if b.fairness.addWaiter(c, began) {
		c.askNow()
	}
	defer b.fairness.removeWaiter(c)
	for {
		c.mu.Lock()
		notified, released, at := c.notified, c.released, c.askAt
		if !c.expect.IsZero() && c.expect.Before(at) {
			at = c.expect
		}
		c.mu.Unlock()
		d := time.Until(at)
		switch {
		case released:
			return driver.ErrReleased
		case notified || d <= 0:
			return nil
		}
		w.timer.Reset(d)
		switch b.wait(ctx, w) {
		case ctxEnded:
			return context.Cause(ctx)
		case closed:
			return errClosed
		}
	}
}

// Notify records what a node has published for this client. It does not block.
func (b *Backend) Notify(node int, n wire.Notice) {
	switch n.Kind {
	case wire.Free:
		b.ledger.each(n.AttemptID, func(c *claim) {
			b.floors.observe(c.key, n.Count) // of the right shard, but for an attempt that wants several keys: a hint
			c.dequeued(node)
			c.askNow()
		})
	case wire.NoticesLost:
		b.ledger.each("", func(c *claim) {
			if b.home(c.key, 0) == node {
				c.askNow()
			}
		})
	case wire.Evicted:
		b.onEviction(n.AttemptID)
	}
}

// dequeued records that a node has taken the attempt off its queue.
func (c *claim) dequeued(node int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.queued = c.queued.Without(node)
}

// askNow has a waiter ask now. If a try of it is under way, which may have come before the key was
// free, it asks once more after that.
func (c *claim) askNow() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.signal != nil {
		c.notified = true
		raise(c.signal)
	}
}
