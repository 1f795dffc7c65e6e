package recipe

import (
	"context"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

// ending is a Release or an Evict under way.
type ending struct {
	b       *Backend
	a       *attempt // nil if this client knows nothing of the attempt
	end     wire.End
	timeout time.Duration
	until   time.Time // when the key has run out on all nodes
	quiet   bool      // no waiter is told: see fairness
	last    bool      // of several in a row: whether a waiter is told decides what comes next

	deferred vote.Set // nodes that are asked when the attempt has their answer; guarded by its mutex
	waits    vote.Set // the same, at the beginning

	mu     sync.Mutex
	signal chan struct{} // nil when nobody waits any more
	poll   vote.Poll
	told   vote.Set // nodes that have answered, or will not
	woke   bool     // a waiter was told
	errs   *[vote.MaxNodes]error
}

// stopDeferring ends the attempt where an answer was waited for, without it.
func (e *ending) stopDeferring() {
	e.a.mu.Lock()
	out := e.deferred
	e.deferred = 0
	e.a.mu.Unlock()
	e.send(0, out)
}

// release sends what has waited for a node's answer. A nil ending has nothing that waits.
func (e *ending) release(node int) {
	if e == nil {
		return
	}
	one := vote.Set(0).With(node)
	e.a.mu.Lock()
	late, been := e.a.mayArrive.Has(node), e.a.reached.Has(node)
	e.a.mu.Unlock()
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
		loud &= e.a.queues()
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
func (a *attempt) queues() vote.Set {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.queued
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
		e.b.endQueue.add(node, end, e.until, err)
	}
	if r.Woke && e.a != nil {
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
	for why := signaled; ; why = w.wait(ctx) {
		e.mu.Lock()
		a := e.poll.Answer()
		switch {
		case why != signaled || a != vote.Undecided && e.known():
		case a != vote.Undecided && !patient:
			patient = true
			w.timer.Reset(e.b.pace.soon())
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
