package recipe

import (
	"context"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// adminTimeout bounds a request that is not about a lease.
const adminTimeout = 3 * time.Second

// allTries is a try that none is above, and that Lua can count to.
const allTries = 1<<53 - 1

// Release ends a claim on all nodes. It returns when a majority has decided, and the rest goes on.
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
	c := b.ledger.release(attempt{g.Key, g.AttemptID})
	if c == nil {
		c, _ = g.Handle.(*claim)
	}
	w := b.newCall()
	defer b.done(w)
	e := &ending{
		b: b, c: c, timeout: timeout, signal: w.signal, poll: vote.NewPoll(len(b.nodes)), until: time.Now().Add(onNode(max(g.TTL, keepOut))),
		end: wire.End{Key: g.Key, ID: wire.ID{AttemptID: g.AttemptID, Try: allTries}},
	}
	out, skip := vote.All(len(b.nodes)), vote.Set(0)
	if c != nil {
		if began := c.heldSince(); !began.IsZero() {
			e.quiet, e.last = b.fairness.release(g.Key, began, b.roundTrip())
		}
		out, skip = c.release(e)
	}
	e.send(vote.All(len(b.nodes))&^(out|e.waits|skip), out)
	answer, err := e.decide(ctx, w)
	if e.quiet {
		if next := b.fairness.localWaiter(g.Key); next != nil {
			next.askNow()
		}
		// It ends nothing, since it has no try: a node whose Take is unanswered has an End of its own to come.
		wake := wire.End{Key: g.Key, ID: wire.ID{AttemptID: g.AttemptID}}
		b.fairness.deferWake(g.Key, wake, b.soon(), b.wakeWaiters)
	}
	if e.waits != 0 && c.waitsFor(e) != 0 {
		time.AfterFunc(b.lateAfter(), e.stopDeferring)
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
func (c *claim) waitsFor(e *ending) vote.Set {
	c.mu.Lock()
	defer c.mu.Unlock()
	return e.deferred
}

// stopDeferring ends the claim where an answer was waited for, without it.
func (e *ending) stopDeferring() {
	e.c.mu.Lock()
	out := e.deferred
	e.deferred = 0
	e.c.mu.Unlock()
	e.send(0, out)
}

// release ends the claim in this client, for an ending that begins. It returns the nodes that
// have to keep its tries out, and those that no request of it has reached: they have nothing.
func (c *claim) release(e *ending) (out, skip vote.Set) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.released = true
	if c.wanted != nil {
		c.wanted.over.Store(true)
	}
	raise(c.signal)
	if c.last != 0 {
		e.end.ID.Try = c.last
	}
	out = c.mayArrive
	fresh := c.held && time.Since(c.began) < e.b.lateAfter()
	for i := range e.b.nodes {
		switch {
		case c.repairs.Has(i), c.outstanding[i] > 0 && !fresh:
			out = out.With(i)
		case c.outstanding[i] > 0 && !out.Has(i):
			e.deferred = e.deferred.With(i)
		case c.held && !(c.reached | out).Has(i):
			skip = skip.With(i)
			e.poll.Told(i, wire.None)
		}
	}
	e.told = skip
	e.waits = e.deferred
	c.ending = e
	return out, skip
}

// ending is a Release or an Evict under way.
type ending struct {
	b       *Backend
	c       *claim // nil if this client knows nothing of the attempt
	end     wire.End
	timeout time.Duration
	until   time.Time // when the key has run out on all nodes
	quiet   bool      // no waiter is told: see fairness
	last    bool      // of several in a row: whether a waiter is told decides what comes next

	deferred vote.Set // nodes that are asked when the claim has their answer; guarded by the claim's mutex
	waits    vote.Set // the same, at the beginning

	mu     sync.Mutex
	signal chan struct{} // nil when nobody waits any more
	poll   vote.Poll
	told   vote.Set // nodes that have answered, or will not
	woke   bool     // a waiter was told
	errs   *[vote.MaxNodes]error
}

// release sends what has waited for a node's answer. A nil ending has nothing that waits.
func (e *ending) release(node int) {
	if e == nil {
		return
	}
	one := vote.Set(0).With(node)
	e.c.mu.Lock()
	late, been := e.c.mayArrive.Has(node), e.c.reached.Has(node)
	e.c.mu.Unlock()
	switch {
	case late:
		e.send(0, one)
	case been:
		e.send(one, 0)
	default: // the request was not sent after all
		e.onReply(node, wire.Reply{Outcome: wire.None}, nil)
	}
}

// send sends an End to nodes, some of which have to keep the try out.
func (e *ending) send(plain, out vote.Set) {
	var quick, quiet, tombstone wire.Request
	loud := plain
	if e.quiet && plain != 0 {
		loud &= e.c.queues()
		end := e.end
		end.Failed = true
		quiet = end
	}
	if loud != 0 {
		quick = e.end
	}
	if out != 0 {
		end := e.end
		end.KeepOut = keepOut
		tombstone = end
	}
	for i, n := range e.b.nodes {
		r := quiet
		switch {
		case out.Has(i):
			r = tombstone
		case loud.Has(i):
			r = quick
		case !plain.Has(i):
			continue
		}
		// Not the caller's context: the rest is to be ended, too.
		n.Send(e.b.closing, r, e.timeout, func(reply any, err error) { e.onReply(i, reply, err) })
	}
}

// queues are the nodes on which the attempt may be among the waiters, and has to leave.
func (c *claim) queues() vote.Set {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queued
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

// onReply records a node's answer.
func (e *ending) onReply(node int, reply any, err error) {
	r, ok := reply.(wire.Reply)
	if err == nil && !ok {
		err = unexpected(reply)
	}
	if err != nil {
		end := e.end
		end.KeepOut = keepOut
		e.b.queueEnd(node, end, e.until, err)
	}
	if r.Woke && e.c != nil {
		e.b.fairness.foundWaiter(e.end.Key)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	open := e.poll.Answer() == vote.Undecided
	if err == nil {
		e.poll.Told(node, r.Outcome)
	} else {
		e.fail(node, err)
	}
	e.told, e.woke = e.told.With(node), e.woke || r.Woke
	if open && e.poll.Answer() != vote.Undecided || e.last {
		raise(e.signal)
	}
}

// known reports whether there is nothing to be gained by waiting. Called with the mutex held.
func (e *ending) known() bool { return !e.last || e.woke || e.told == vote.All(len(e.b.nodes)) }

func (e *ending) fail(node int, err error) {
	if e.errs == nil {
		e.errs = new([vote.MaxNodes]error)
	}
	e.errs[node] = err
	e.poll.Silent(node)
}

// decide waits for the answer of a majority. The error is for who gets none.
//
// An answer that comes together with the end of ctx counts, if it is there when the ending is
// looked at; later it does nothing.
func (e *ending) decide(ctx context.Context, w *call) (vote.Answer, error) {
	w.timer.Reset(e.timeout + e.timeout/4)
	patient := false
	for why := signaled; ; why = e.b.wait(ctx, w) {
		e.mu.Lock()
		a := e.poll.Answer()
		switch {
		case why != signaled || a != vote.Undecided && e.known():
		case a != vote.Undecided && !patient:
			patient = true
			w.timer.Reset(e.b.soon())
			fallthrough
		default:
			e.mu.Unlock()
			continue
		}
		e.signal = nil
		var err error
		switch {
		case a == vote.Yes || a == vote.No:
		case why == closed:
			err = errClosed
		default:
			err = e.noQuorum()
		}
		e.mu.Unlock()
		return a, err
	}
}

// noQuorum is the error of an ending that is not decided. Called with the mutex held.
func (e *ending) noQuorum() error {
	return e.b.noQuorum(func(i int) error {
		switch {
		case e.errs != nil && e.errs[i] != nil:
			return e.errs[i]
		case e.poll.Yes().Has(i):
			return nil
		case e.poll.No().Has(i):
			return errNobody
		}
		return errNoAnswer
	})
}
