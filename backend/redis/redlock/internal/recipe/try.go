package recipe

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/vote"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
	"github.com/fencelock/fencelock/driver"
)

// keepOut is how long a node refuses a try that was ended while a packet of it may have been on its
// way. One that is later leaves a key on a node that nobody needs, until its TTL ends.
const keepOut = time.Minute

// try is one try of an Acquire. The attempt's mutex guards what the nodes have said.
type try struct {
	b           *Backend
	a           *attempt
	wanted      *wanted // the context of its requests
	id          wire.ID
	edition     uint64 // of the list, before the first request
	start       time.Time
	ttl         time.Duration
	timeout     time.Duration // of each request
	home        int           // the node whose queue it joins; -1 if it does not wait
	leaves      vote.Set      // nodes where the attempt is in no queue if the Take gets the key
	wasNotified bool          // by a notice, that the key may be free
	awaitsAll   bool          // somebody waits for each answer
	votes       vote.Try
	said        *tryReplies // nil if all have said Done so far
}

// wanted is the context of what a try sends. It ends, and what is not sent by then is not sent any more, when
// the try has failed or its attempt is released. It does not end with the Acquire: a lock that is held comes
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

// tryReplies is what nodes have said besides Done, for errors and messages.
type tryReplies struct {
	holders [vote.MaxNodes]wire.Holder
	errs    [vote.MaxNodes]error
}

// begin sends the Takes of a try, after another that failed, or nil. Start is read before the first.
func (b *Backend) begin(a *attempt, req driver.Request, last *try) *try {
	take := wire.Take{
		Key: req.Key, ID: wire.ID{AttemptID: req.AttemptID, Try: b.tries.Add(1)}, TTL: onNode(req.TTL), Tokenless: b.info.Tokenless,
		Meta: driver.JoinIdentity(req.Identity, req.Meta), Channel: b.channel,
	}
	if !b.info.Tokenless {
		take.Floor = b.floors.next(req.Key)
	}
	a.mu.Lock()
	home := -1
	if req.Wait {
		mute := last.unanswered()
		home = b.home(req.Key, mute&a.mute)
		a.mute = mute
	}
	// Apart from the attempt, which lives as long as the lease.
	t := &try{
		b: b, a: a, wanted: &wanted{Context: b.closing}, id: take.ID, ttl: req.TTL, timeout: driver.RequestTimeout(req.TTL), home: home,
		votes: vote.NewTry(len(b.nodes), b.info.Tokenless),
	}
	t.edition = b.edition()
	t.start = time.Now()
	a.wanted = t.wanted
	a.last, a.began, a.meta = take.ID.Try, t.start, driver.JoinIdentity(req.Identity, req.Meta)
	t.wasNotified = a.notified
	a.notified, a.evictedEarly, a.expect = false, false, time.Time{}
	for i := range b.nodes {
		a.outstanding[i]++
	}
	position := a.position
	if position != 0 {
		t.leaves = a.queued
	}
	placed := t.leaves
	if home >= 0 && !a.queued.Has(home) { // it was in no queue there, and is in none if it gets the key
		t.leaves, a.queued = t.leaves.With(home), a.queued.With(home)
	}
	a.mu.Unlock()

	var plain, queued, leaving wire.Request = take, nil, nil // made once for all nodes
	if take.Position = position; placed != 0 {
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
		n.Send(t.wanted, r, t.timeout, func(reply any, err error) { t.onTake(i, reply, err) })
	}
	return t
}

// hopeless reports whether the try has failed before a node was asked, as it has where a majority is
// known to be away. Then the node is not asked.
func (t *try) hopeless(node int) bool {
	a := t.a
	a.mu.Lock()
	if !t.votes.Failed() {
		a.mu.Unlock()
		return false
	}
	t.votes.NotSent(node)
	e := a.answered(node)
	a.mu.Unlock()
	e.release(node)
	return true
}

// onTake records the answer to a Take, also one that comes late.
func (t *try) onTake(node int, reply any, err error) {
	r, ok := reply.(wire.TakeReply)
	if err == nil && !ok {
		err = unexpected(reply)
	}
	if err == nil {
		t.b.floors.observe(t.a.Key, r.Count)
	}
	a := t.a
	a.mu.Lock()
	open := t.votes.Verdict() == vote.Open
	if !nothingDone(err) {
		a.reached = a.reached.With(node)
	}
	switch {
	case err == nil:
		if r.Outcome == wire.Other {
			t.met(node, r)
		} else if r.Outcome == wire.Done && t.leaves.Has(node) && a.outstanding[node] == 1 {
			a.queued = a.queued.Without(node) // it has left, and nothing is on its way that may have it join
		}
		t.votes.Took(node, r.Outcome, r.Count, r.Holder.ID)
	case nothingDone(err):
		t.replies().errs[node] = err
		t.votes.NotSent(node)
	default:
		t.replies().errs[node] = err
		a.mayArrive = a.mayArrive.With(node)
		t.votes.Silent(node)
	}
	switch v := t.votes.Verdict(); {
	case t.awaitsAll, open && v != vote.Open:
		raise(a.signal)
	case node == t.home && v == vote.Held && t.id.Try == a.last: // it has been waited for
		a.askAt = t.confirmAt()
		raise(a.signal)
	}
	e := a.answered(node)
	t.flush()
	e.release(node)
}

// met records who has the key on a node.
func (t *try) met(node int, r wire.TakeReply) {
	t.replies().holders[node] = r.Holder
	switch {
	case r.Position != 0: // though a notice may have come since, that it has left
		t.a.queued = t.a.queued.With(node)
	case t.leaves.Has(node):
		t.a.queued = t.a.queued.Without(node)
	}
	if node != t.home || t.id.Try != t.a.last {
		return
	}
	if r.Position != 0 {
		t.a.position = r.Position
	}
	if r.First {
		t.a.expect = time.Now().Add(r.Holder.Left + time.Millisecond)
	}
}

// onWriteBack records the answer to a WriteBack.
func (t *try) onWriteBack(node int, reply any, err error) {
	r, ok := reply.(wire.Reply)
	if err == nil && !ok {
		err = unexpected(reply)
	}
	a := t.a
	a.mu.Lock()
	open := t.votes.Verdict() == vote.Open
	if err == nil {
		t.votes.Wrote(node, r.Outcome)
	} else {
		t.replies().errs[node] = err
		t.votes.WriteSilent(node)
	}
	if open && t.votes.Verdict() != vote.Open {
		raise(a.signal)
	}
	t.flush()
}
