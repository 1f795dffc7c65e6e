package recipe

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// confirmAt is when a waiter asks again after a try that met another's lock. Called with the attempt's
// mutex held.
//
// It asks sooner where it may have missed that the lock is free, and ever less soon if that goes on:
//   - Its home has not answered, so it is in no queue, as far as it knows.
//   - Its home took the key for it. Then the holder is about to release, and the Ends of other nodes
//     are still on their way; or has lost its home. It joins the queue there, but that may be too late.
//   - It was told that the key is free, and met another. That one may have been told as well.
func (t *try) confirmAt() time.Time {
	a, b := t.a, t.b
	d := b.pace.confirmIn(t.ttl)
	if t.home < 0 {
		return time.Now().Add(d)
	}
	done, _, _ := t.votes.Answered()
	switch {
	case t.unanswered().Has(t.home):
		d = min(d, b.pace.lateAfter())
	case done.Has(t.home), t.wasNotified:
		d = min(d, 5*b.pace.roundTrip()<<min(a.hurries, 20))
		a.hurries++
	default:
		a.hurries = 0
	}
	return time.Now().Add(d)
}

// join puts an attempt among the waiters of a key that this client has just freed for others, and takes
// nothing: a Take could meet that of the one who was told.
func (b *Backend) join(a *attempt, req driver.Request) {
	home := b.home(req.Key, 0)
	end := wire.End{
		Key: req.Key, ID: wire.ID{AttemptID: req.AttemptID, Try: b.tries.Add(1)}, Failed: true, Queue: true, Channel: b.channel, TTL: onNode(req.TTL),
	}
	a.mu.Lock()
	a.last, a.began, a.meta = end.ID.Try, time.Now(), driver.JoinIdentity(req.Identity, req.Meta)
	a.outstanding[home]++
	a.queued = a.queued.With(home)
	a.mu.Unlock()
	b.nodes[home].Send(b.closing, end, driver.RequestTimeout(req.TTL), func(_ any, err error) {
		a.settled(home, err)
		if err != nil {
			a.askNow()
		}
	})
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
func (b *Backend) pause(ctx context.Context, a *attempt, w *call) error {
	a.mu.Lock()
	began := a.began
	a.mu.Unlock()
	if b.fairness.addWaiter(a, began) {
		a.askNow()
	}
	defer b.fairness.removeWaiter(a)
	for {
		a.mu.Lock()
		notified, released, at := a.notified, a.ending != nil, a.askAt
		if !a.expect.IsZero() && a.expect.Before(at) {
			at = a.expect
		}
		a.mu.Unlock()
		d := time.Until(at)
		switch {
		case released:
			return driver.ErrReleased
		case notified || d <= 0:
			return nil
		}
		w.timer.Reset(d)
		switch w.wait(ctx) {
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
		b.registry.mu.Lock()
		defer b.registry.mu.Unlock()
		for a := range b.registry.WithID(n.AttemptID) {
			b.floors.observe(a.Key, n.Count) // of the right shard, but for an attempt that wants several keys: a hint
			a.dequeued(node)
			a.askNow()
		}
	case wire.NoticesLost:
		b.registry.mu.Lock()
		defer b.registry.mu.Unlock()
		for a := range b.registry.All() {
			if b.home(a.Key, 0) == node {
				a.askNow()
			}
		}
	case wire.Evicted:
		b.onEviction(n.AttemptID)
	}
}

// dequeued records that a node has taken the attempt off its queue.
func (a *attempt) dequeued(node int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.queued = a.queued.Without(node)
}

// askNow has a waiter ask now. If a try of it is under way, which may have come before the key was
// free, it asks once more after that.
func (a *attempt) askNow() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.signal != nil {
		a.notified = true
		raise(a.signal)
	}
}
