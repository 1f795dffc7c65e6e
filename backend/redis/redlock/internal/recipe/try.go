package recipe

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// keepOut is how long a node refuses a try that was ended while a packet of it may have been on its
// way. One that is later leaves a key on a node that nobody needs, until its TTL ends.
const keepOut = time.Minute

// try is one try of an Acquire. The claim's mutex guards what the nodes have said.
type try struct {
	b       *Backend
	c       *claim
	wanted  *wanted // the context of its requests
	id      wire.ID
	edition uint64 // of the list, before the first request
	start   time.Time
	ttl     time.Duration
	timeout time.Duration // of each request
	home    int           // the node whose queue it joins; -1 if it does not wait
	leaves  vote.Set      // nodes where the owner is in no queue if the Take gets the key
	wasTold bool          // by a notice, that the key may be free
	lingers bool          // somebody waits for each answer
	votes   vote.Try
	said    *said // nil if all have said Done so far
}

// wanted is the context of what a try sends. It ends, and what is not sent by then is not sent any more, when
// the try has failed or its claim is released. It does not end with the Acquire: a lock that is held comes
// to the nodes that lag, too, and is on more than a bare majority.
//
// A request that waits to be sent is told by Err. Done is that of the client.
type wanted struct {
	context.Context //nolint:containedctx // the end of the client

	over atomic.Bool
}

func (w *wanted) Err() error {
	if w.over.Load() {
		return context.Canceled
	}
	return w.Context.Err()
}

// said is what nodes have said besides Done, for errors and messages.
type said struct {
	holders [vote.Most]wire.Holder
	errs    [vote.Most]error
}

// begin sends the Takes of a try, after another that failed, or nil. Start is read before the first.
func (b *Backend) begin(c *claim, req driver.Request, last *try) *try {
	take := wire.Take{
		Key: req.Key, ID: wire.ID{Owner: req.AttemptID, Try: b.tries.Add(1)}, TTL: onNode(req.TTL), Tokenless: b.info.Tokenless,
		Meta: driver.JoinIdentity(req.Identity, req.Meta), Channel: b.channel,
	}
	if !b.info.Tokenless {
		take.Floor = b.floors.next(req.Key)
	}
	c.mu.Lock()
	home := -1
	if req.Wait {
		mute := last.unanswered()
		home = b.home(req.Key, mute&c.mute)
		c.mute = mute
	}
	// Apart from the claim, which lives as long as the lease.
	t := &try{
		b: b, c: c, wanted: &wanted{Context: b.closing}, id: take.ID, ttl: req.TTL, timeout: driver.RequestTimeout(req.TTL), home: home,
		votes: vote.NewTry(len(b.nodes), b.info.Tokenless),
	}
	t.edition = b.edition()
	t.start = time.Now()
	c.wanted = t.wanted
	c.last, c.began, c.ttl, c.meta = take.ID.Try, t.start, req.TTL, driver.JoinIdentity(req.Identity, req.Meta)
	t.wasTold = c.told
	c.told, c.struck, c.expect = false, false, time.Time{}
	for i := range b.nodes {
		c.due[i]++
	}
	place := c.place
	if place != 0 {
		t.leaves = c.queued
	}
	placed := t.leaves
	if home >= 0 && !c.queued.Has(home) { // it was in no queue there, and is in none if it gets the key
		t.leaves, c.queued = t.leaves.With(home), c.queued.With(home)
	}
	c.mu.Unlock()

	var plain, queued, leaving wire.Request = take, nil, nil // made once for all nodes
	if take.Place = place; placed != 0 {
		leaving = take
	}
	if home >= 0 {
		take.Queue = true
		queued = take
	}
	for i, n := range b.nodes {
		if t.hopeless(i) {
			continue
		}
		r := plain
		switch {
		case i == home:
			r = queued
		case placed.Has(i):
			r = leaving
		}
		n.Send(t.wanted, r, t.timeout, func(reply any, err error) { t.took(i, reply, err) })
	}
	return t
}

// hopeless reports whether the try has failed before a node was asked, as it has where a majority is
// known to be away. Then the node is not asked.
func (t *try) hopeless(node int) bool {
	c := t.c
	c.mu.Lock()
	if !t.votes.Failed() {
		c.mu.Unlock()
		return false
	}
	t.votes.NotSent(node)
	e := c.answered(node)
	c.mu.Unlock()
	e.release(node)
	return true
}

// took takes in the answer to a Take, whenever it comes.
func (t *try) took(node int, reply any, err error) {
	r, ok := reply.(wire.TakeReply)
	if err == nil && !ok {
		err = unexpected(reply)
	}
	if err == nil {
		t.b.floors.saw(t.c.key, r.Count)
	}
	c := t.c
	c.mu.Lock()
	open := t.votes.Verdict() == vote.Open
	if !nothingDone(err) {
		c.been = c.been.With(node)
	}
	switch {
	case err == nil:
		if r.Outcome == wire.Other {
			t.met(node, r)
		} else if r.Outcome == wire.Done && t.leaves.Has(node) && c.due[node] == 1 {
			c.queued = c.queued.Without(node) // it has left, and nothing is on its way that may have it join
		}
		t.votes.Took(node, r.Outcome, r.Count, r.Holder.ID)
	case nothingDone(err):
		t.words().errs[node] = err
		t.votes.NotSent(node)
	default:
		t.words().errs[node] = err
		c.late = c.late.With(node)
		t.votes.Silent(node)
	}
	switch v := t.votes.Verdict(); {
	case t.lingers, open && v != vote.Open:
		ring(c.bell)
	case node == t.home && v == vote.Held && t.id.Try == c.last: // it has been waited for
		c.askAt = t.confirmAt()
		ring(c.bell)
	}
	e := c.answered(node)
	t.flush()
	e.release(node)
}

// met takes in who has the key on a node.
func (t *try) met(node int, r wire.TakeReply) {
	t.words().holders[node] = r.Holder
	switch {
	case r.Place != 0: // though a notice may have come since, that it has left
		t.c.queued = t.c.queued.With(node)
	case t.leaves.Has(node):
		t.c.queued = t.c.queued.Without(node)
	}
	if node != t.home || t.id.Try != t.c.last {
		return
	}
	if r.Place != 0 {
		t.c.place = r.Place
	}
	if r.First {
		t.c.expect = time.Now().Add(r.Holder.Left + time.Millisecond)
	}
}

// wrote takes in the answer to a WriteBack.
func (t *try) wrote(node int, reply any, err error) {
	r, ok := reply.(wire.Reply)
	if err == nil && !ok {
		err = unexpected(reply)
	}
	c := t.c
	c.mu.Lock()
	open := t.votes.Verdict() == vote.Open
	if err == nil {
		t.votes.Wrote(node, r.Outcome)
	} else {
		t.words().errs[node] = err
		t.votes.WriteSilent(node)
	}
	if open && t.votes.Verdict() != vote.Open {
		ring(c.bell)
	}
	t.flush()
}

// flush sends what the rules have made due. It is called with the claim's mutex held, and lets go
// of it first.
//
// Where the home of a waiter took the key for it, and another has it elsewhere, the waiter is in no queue;
// so the end of that try puts it there.
func (t *try) flush() {
	c, votes := t.c, &t.votes
	writes := votes.Writes()
	plain, out := votes.Ends()
	v := votes.Verdict()
	if votes.Failed() {
		t.wanted.over.Store(true)
	}
	queue, place := -1, c.place
	if t.home >= 0 && plain.Has(t.home) && !c.released && (v == vote.Held || v == vote.Split) {
		queue = t.home
		c.due[queue]++ // Release must know
		c.queued = c.queued.With(queue)
	}
	c.mu.Unlock()
	if writes != 0 {
		var r wire.Request = wire.WriteBack{Key: c.key, ID: t.id, Token: votes.Token()}
		for i, n := range t.b.nodes {
			if writes.Has(i) {
				n.Send(t.wanted, r, t.timeout, func(reply any, err error) { t.wrote(i, reply, err) })
			}
		}
	}
	if plain|out != 0 {
		t.end(plain, out, queue, place)
	}
}

// end sends the Ends of a try that has failed: to the nodes that have its key, and to those that have to
// keep it out. At one of them, unless it is -1, the owner joins the queue.
func (t *try) end(plain, out vote.Set, queue int, place uint64) {
	for i, n := range t.b.nodes {
		r := wire.End{Key: t.c.key, ID: t.id, Failed: true}
		switch {
		case i == queue:
			r.Queue, r.Place, r.Channel, r.TTL = true, place, t.b.channel, onNode(t.ttl)
		case out.Has(i):
			r.KeepOut = keepOut
		case !plain.Has(i):
			continue
		}
		n.Send(t.b.closing, r, t.timeout, func(_ any, err error) {
			if err != nil {
				again := r
				again.Queue = false
				t.b.left(i, again, time.Now().Add(onNode(t.ttl)), err)
			}
			if i == queue {
				t.c.settled(i, err)
			}
		})
	}
}

func ignore(any, error) {}

// settled takes in that a request which may leave something on a node has ended.
func (c *claim) settled(node int, err error) {
	c.mu.Lock()
	if err != nil && !nothingDone(err) {
		c.late = c.late.With(node)
	}
	e := c.answered(node)
	c.mu.Unlock()
	e.release(node)
}

// decide waits for the verdict. The error is that of a try that was given up.
func (t *try) decide(ctx context.Context, w *call) (v vote.Verdict, err error) {
	c := t.c
	w.timer.Reset(t.timeout + t.timeout/4) // the nodes' own time-outs come first
	for why := rung; ; why = t.b.wait(ctx, w) {
		c.mu.Lock()
		if t.votes.Verdict() == vote.Open {
			switch {
			case why == ctxEnded:
				err = context.Cause(ctx)
			case why == closed:
				err = errClosed
			case c.released:
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
		if t.votes.Verdict() == vote.Granted {
			err = t.hold()
		}
		v = t.votes.Verdict()
		t.flush()
		switch {
		case v == vote.NoQuorum && ctx.Err() != nil: // of which nodes may have heard first
			return vote.GivenUp, context.Cause(ctx)
		case v != vote.Open:
			return v, err
		}
	}
}

// linger waits, for a moment, for the nodes that have not answered a try that has failed: the error tells of
// each.
func (t *try) linger(ctx context.Context, w *call) {
	w.timer.Reset(t.b.patience())
	for why := rung; why == rung; why = t.b.wait(ctx, w) {
		t.c.mu.Lock()
		t.lingers = t.votes.Pending() != 0
		over := !t.lingers
		t.c.mu.Unlock()
		if over {
			return
		}
	}
}

// hold makes the claim that of a holder, unless it comes too late. Called with its mutex held.
func (t *try) hold() error {
	c := t.c
	var err error
	took := time.Since(t.start)
	switch {
	case c.released:
		err = driver.ErrReleased
	case c.struck:
		err = errStruck
	case t.b.edition() != t.edition:
		// Some of its nodes may have answered as those of one list, and some as those of the next: a majority
		// of neither.
		err = errMoved
	case took >= t.ttl:
		err = errSlow
	}
	if err != nil {
		t.votes.GiveUp()
		return err
	}
	c.held, c.id, c.token = true, t.id, t.votes.Token()
	t.b.measured(took)
	return nil
}

// unanswered are the nodes that have not answered a try, which may be nil. Called with the claim's
// mutex held.
func (t *try) unanswered() vote.Set {
	if t == nil {
		return 0
	}
	silent, unsent := t.votes.Unanswered()
	return t.votes.Pending() | silent | unsent
}

func (t *try) words() *said {
	if t.said == nil {
		t.said = new(said)
	}
	return t.said
}

// answered takes in that a node has answered a request that may have left something there, and returns
// the release that has waited for that, or nil. Called with the claim's mutex held.
func (c *claim) answered(node int) *ending {
	c.due[node]--
	if e := c.ending; e != nil && c.due[node] == 0 && e.deferred.Has(node) {
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
