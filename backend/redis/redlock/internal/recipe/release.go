package recipe

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// adminTimeout bounds a request that is not about a lease.
const adminTimeout = 3 * time.Second

// allTries is a try that none is above, and that Lua can count to.
const allTries = 1<<53 - 1

// Release ends an attempt on all nodes. It returns when a majority has decided, and the rest goes on.
//
// A request of the attempt may still be on its way to a node: a Take or a Repair that has not been
// answered. Then the node is told to keep the try out, which it has to remember for a while. One
// case is too frequent for that: a lock that is unlocked at once, of which the last node's Take
// is not answered yet. There the End waits for the answer, though not for long.
func (b *Backend) Release(ctx context.Context, g driver.Grant) error {
	if b.closing.Err() != nil {
		return errClosed
	}
	timeout := adminTimeout
	if g.TTL > 0 {
		timeout = driver.RequestTimeout(g.TTL)
	}
	a := b.registry.release(g)
	w := b.calls.begin()
	defer b.calls.end(w)
	e := &ending{
		b: b, a: a, timeout: timeout, signal: w.signal, poll: vote.NewPoll(len(b.nodes)), until: time.Now().Add(onNode(max(g.TTL, keepOut))),
		end: wire.End{Key: g.Key, ID: wire.ID{AttemptID: g.AttemptID, Try: allTries}},
	}
	out, skip := vote.All(len(b.nodes)), vote.Set(0)
	if a != nil {
		if began := a.heldSince(); !began.IsZero() {
			e.quiet, e.last = b.fairness.release(g.Key, began, b.pace.roundTrip())
		}
		out, skip = a.release(e)
	}
	e.send(vote.All(len(b.nodes))&^(out|e.waits|skip), out)
	answer, err := e.decide(ctx, w)
	if e.quiet {
		if next := b.fairness.localWaiter(g.Key); next != nil {
			next.askNow()
		}
		// It ends nothing, since it has no try: a node whose Take is unanswered has an End of its own to come.
		wake := wire.End{Key: g.Key, ID: wire.ID{AttemptID: g.AttemptID}}
		b.fairness.deferWake(g.Key, wake, b.pace.soon(), b.wakeWaiters)
	}
	if e.waits != 0 && a.waitsFor(e) != 0 {
		time.AfterFunc(b.pace.lateAfter(), e.stopDeferring)
	}
	switch answer {
	case vote.Yes:
		return nil
	case vote.No:
		return driver.ErrNotHeld
	}
	return err
}

// waitsFor returns the nodes whose answers an ending waits for.
func (a *attempt) waitsFor(e *ending) vote.Set {
	a.mu.Lock()
	defer a.mu.Unlock()
	return e.deferred
}

// heldSince is when the try began that has the lock, or zero.
func (a *attempt) heldSince() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.held {
		return time.Time{}
	}
	return a.began
}

// release ends the attempt in this client, for an ending that begins. It returns the nodes that
// have to keep its tries out, and those that no request of it has reached: they have nothing.
func (a *attempt) release(e *ending) (out, skip vote.Set) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.wanted != nil {
		a.wanted.over.Store(true)
	}
	raise(a.signal)
	if a.last != 0 {
		e.end.ID.Try = a.last
	}
	out = a.mayArrive
	fresh := a.held && time.Since(a.began) < e.b.pace.lateAfter()
	for i := range e.b.nodes {
		switch {
		case a.repairs.Has(i), a.outstanding[i] > 0 && !fresh:
			out = out.With(i)
		case a.outstanding[i] > 0 && !out.Has(i):
			e.deferred = e.deferred.With(i)
		case a.held && !(a.reached | out).Has(i):
			skip = skip.With(i)
			e.poll.Told(i, wire.None)
		}
	}
	e.told = skip
	e.waits = e.deferred
	a.ending = e
	return out, skip
}

// wakeWaiters has the nodes tell the first waiter, if the key is free: by an End that ends nothing. It may be
// nil.
func (b *Backend) wakeWaiters(end wire.Request) {
	if end == nil {
		return
	}
	for _, n := range b.nodes {
		n.Send(b.closing, end, adminTimeout, ignore)
	}
}
