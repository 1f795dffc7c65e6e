package recipe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// flush sends what the rules have made due. It is called with the attempt's mutex held, and lets go
// of it first.
//
// Where the home of a waiter took the key for it, and another has it elsewhere, the waiter is in no queue;
// so the end of that try puts it there.
func (t *try) flush() {
	a, votes := t.a, &t.votes
	writes := votes.Writes()
	plain, out := votes.Ends()
	v := votes.Verdict()
	if votes.Failed() {
		t.wanted.over.Store(true)
	}
	queue, position := -1, a.position
	if t.home >= 0 && plain.Has(t.home) && a.ending == nil && (v == vote.Held || v == vote.Split) {
		queue = t.home
		a.outstanding[queue]++ // Release must know
		a.queued = a.queued.With(queue)
	}
	a.mu.Unlock()
	if writes != 0 {
		var r wire.Request = wire.WriteBack{Key: a.Key, ID: t.id, Token: votes.Token()}
		for i, n := range t.b.nodes {
			if writes.Has(i) {
				n.Send(t.wanted, r, t.timeout, func(reply any, err error) { t.onWriteBack(i, reply, err) })
			}
		}
	}
	if plain|out != 0 {
		t.end(plain, out, queue, position)
	}
}

// end sends the Ends of a try that has failed: to the nodes that have its key, and to those that have to
// keep it out. At one of them, unless it is -1, the attempt joins the queue.
func (t *try) end(plain, out vote.Set, queue int, position uint64) {
	for i, n := range t.b.nodes {
		r := wire.End{Key: t.a.Key, ID: t.id, Failed: true}
		switch {
		case i == queue:
			r.Queue, r.Position, r.Channel, r.TTL = true, position, t.b.channel, onNode(t.ttl)
		case out.Has(i):
			r.KeepOut = keepOut
		case !plain.Has(i):
			continue
		}
		n.Send(t.b.closing, r, t.timeout, func(_ any, err error) {
			if err != nil {
				again := r
				again.Queue = false
				t.b.endQueue.add(i, again, time.Now().Add(onNode(t.ttl)), err)
			}
			if i == queue {
				t.a.settled(i, err)
			}
		})
	}
}

func ignore(any, error) {}

// settled records that a request which may leave something on a node has ended.
func (a *attempt) settled(node int, err error) {
	a.mu.Lock()
	if err != nil && !nothingDone(err) {
		a.mayArrive = a.mayArrive.With(node)
	}
	e := a.answered(node)
	a.mu.Unlock()
	e.release(node)
}

// decide waits for the verdict. The error is that of a try that was given up.
func (t *try) decide(ctx context.Context, w *call) (v vote.Verdict, err error) {
	a := t.a
	w.timer.Reset(t.timeout + t.timeout/4) // the nodes' own time-outs come first
	for why := signaled; ; why = w.wait(ctx) {
		a.mu.Lock()
		if t.votes.Verdict() == vote.Open {
			switch {
			case why == ctxEnded:
				err = context.Cause(ctx)
			case why == closed:
				err = errClosed
			case a.ending != nil:
				err = driver.ErrReleased
			case why == timeUp:
				for i := range t.b.nodes {
					t.votes.Silent(i)
				}
				if t.votes.Verdict() == vote.Open { // round 2 is under way
					err = errSlow
				}
			}
			if err != nil {
				t.votes.GiveUp()
			}
		}
		v = t.votes.Verdict()
		t.flush() //nolint:contextcheck // what it sends outlives the Acquire
		switch {
		case v == vote.NoQuorum && ctx.Err() != nil: // of which nodes may have heard first
			return vote.GivenUp, context.Cause(ctx)
		case v != vote.Open:
			return v, err
		}
	}
}

// awaitAll waits, for a moment, for the nodes that have not answered a try that has failed: the error tells of
// each.
func (t *try) awaitAll(ctx context.Context, w *call) {
	w.timer.Reset(t.b.pace.lateAfter())
	for why := signaled; why == signaled; why = w.wait(ctx) {
		t.a.mu.Lock()
		t.awaitsAll = t.votes.Pending() != 0
		over := !t.awaitsAll
		t.a.mu.Unlock()
		if over {
			return
		}
	}
}

// handOut makes the grant of a try that has the lock, unless it comes too late: the last step of an Acquire.
//
// Eviction against this: one that comes before has the attempt try again; one that comes after finds a grant, and its
// holder is told.
func (t *try) handOut() (driver.Grant, error) {
	a, r := t.a, &t.b.registry
	r.mu.Lock()
	a.mu.Lock()
	g, err := driver.Grant{}, t.tooLate()
	if err == nil {
		g, err = r.Grant(a, fencing.Token(t.votes.Token()), t.start, t.ttl)
	}
	if err != nil {
		r.mu.Unlock()
		t.votes.GiveUp()
		t.flush()
		return driver.Grant{}, err
	}
	a.held, a.id, a.token = true, t.id, t.votes.Token()
	a.mu.Unlock()
	r.mu.Unlock()
	return g, nil
}

// tooLate is why the answer that has completed a try is of no use, or nil. Called with the attempt's mutex held.
func (t *try) tooLate() error {
	took := time.Since(t.start)
	switch {
	case t.a.ending != nil:
		return driver.ErrReleased
	case t.a.evictedEarly:
		return errEvictedEarly
	case t.b.edition() != t.edition:
		// Some of its nodes may have answered as those of one list, and some as those of the next: a majority
		// of neither.
		return errListChanged
	case took >= t.ttl:
		return errSlow
	}
	t.b.pace.measured(took)
	return nil
}

// unanswered are the nodes that have not answered a try, which may be nil. Called with the attempt's
// mutex held.
func (t *try) unanswered() vote.Set {
	if t == nil {
		return 0
	}
	silent, unsent := t.votes.Unanswered()
	return t.votes.Pending() | silent | unsent
}

func (t *try) replies() *tryReplies {
	if t.said == nil {
		t.said = new(tryReplies)
	}
	return t.said
}

// answered records that a node has answered a request that may have left something there, and returns
// the release that has waited for that, or nil. Called with the attempt's mutex held.
func (a *attempt) answered(node int) *ending {
	a.outstanding[node]--
	if e := a.ending; e != nil && a.outstanding[node] == 0 && e.deferred.Has(node) {
		e.deferred = e.deferred.Without(node)
		return e
	}
	return nil
}

// nothingDone reports whether an error says that a node has done nothing, and will not.
func nothingDone(err error) bool {
	return errors.Is(err, wire.ErrNotSent) || errors.Is(err, driver.ErrRefused)
}

func unexpected(reply any) error { return fmt.Errorf("redlock: unexpected reply of type %T", reply) }
