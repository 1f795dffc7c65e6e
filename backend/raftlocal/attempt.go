package raftlocal

import (
	"errors"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/driver"
)

// attemptKey names an attempt to lock.
type attemptKey struct{ key, attemptID string }

// phase is how an attempt stands, as far as we know.
type phase uint8

const (
	asking phase = iota // the cluster may have it or not
	queued              // it waits
	held                // it holds the lock
	gone                // it has ended, for certain; it never comes back
)

// attempt is what the backend knows of an attempt, from the first request until it is known to
// have ended. It is Grant.Handle. Its fields below the line are guarded by backend.mu.
type attempt struct {
	backend *backend
	id      attemptKey
	ttl     time.Duration
	lost    func(why error)
	waiting func() // told each time that the cluster confirms that it waits; may be nil

	phase  phase
	number [1]uint64 // the cluster's name for its claim; a slice of it is what a command takes
	token  uint64
	// start is from when the TTL counts at the earliest. While it waits: when the last
	// request was sent whose reply still said so. Zero if that is not known.
	start time.Time
	turn  chan struct{} // closed when it waits no longer; nil if nobody waits for that

	calls  int       // of Acquire, under way
	first  bool      // no request but one was ever made, so that a grant began after that was sent
	late   bool      // a request may have been carried out, or still be, whose outcome is not known
	given  bool      // handed out as a grant
	ending bool      // it is being released
	tried  bool      // and that may have been carried out
	until  time.Time // with no call under way: when the cluster has forgotten it by itself

	renewing bool // the renewal by keep is under way
	urgent   bool // the next must not wait
}

// OnReply records the reply to a request of the attempt.
func (c *attempt) OnReply(o *client.Outcome) {
	b := c.backend
	var confirmed func()
	b.mu.Lock()
	switch {
	case o.Err != nil: // the caller that waits for it knows what to do
	case c.phase == gone:
		// A push or a renewal told of its end meanwhile. This reply is older.
	case o.Reply.Code == command.Granted:
		b.know(c, o.Reply.Number)
		start := o.Sent
		if !c.first {
			// It may be the grant that an earlier request has got.
			start = time.Time{}
		}
		b.hold(c, o.Reply.Token, start)
	case o.Reply.Code == command.Waiting && c.phase != held:
		// If it is known to hold the lock, the reply is the one to a first copy of the request.
		b.know(c, o.Reply.Number)
		confirmed = b.queue(c, o.Sent, o.Resent)
	}
	b.mu.Unlock()
	if confirmed != nil {
		confirmed()
	}
}

// know notes the number of an attempt's claim. Called with mu held, as all that follow.
func (b *backend) know(c *attempt, number uint64) {
	if old := c.number[0]; old != number {
		// The attempt had a claim, which has ended, and has another now.
		if b.numbers[old] == c {
			delete(b.numbers, old)
		}
		// A command with the old number may be on its way, and is encoded when it is sent.
		c.number = [1]uint64{number}
		c.token, c.given = 0, false
		if old != 0 {
			c.phase = asking
		}
	}
	b.numbers[number] = c
}

// hold notes that an attempt holds the lock, and that the TTL counts from start at the earliest.
func (b *backend) hold(c *attempt, token uint64, start time.Time) {
	switch c.phase {
	case gone:
		return
	case held:
	case queued, asking:
		if c.phase == asking {
			c.start = start
		}
		c.phase, c.token = held, token
		b.unqueue(c)
	}
}

// queue notes that an attempt waits, and did when a request sent at start was carried out. If
// that was long ago, a push may have been missed since. It returns whom to tell, without mu.
func (b *backend) queue(c *attempt, start time.Time, longAgo bool) (confirmed func()) {
	if c.phase == gone || c.phase == held {
		return nil
	}
	if c.phase == asking || start.After(c.start) {
		c.start = start
	}
	c.phase = queued
	c.urgent = longAgo
	b.queued[c] = struct{}{}
	b.plan(c.due())
	return c.waiting // also then: the cluster has answered now
}

// unqueue notes that an attempt waits no longer.
func (b *backend) unqueue(c *attempt) {
	delete(b.queued, c)
	if c.turn != nil {
		close(c.turn)
		c.turn = nil
	}
}

// end notes that an attempt's claim has ended. It returns whom to tell, without mu: nobody if it was
// released, for then the holder has given it up itself.
func (b *backend) end(c *attempt) (lost func(error)) {
	if c.phase == held && c.given && !c.ending {
		lost = c.lost
	}
	c.phase = gone
	b.drop(c)
	b.unqueue(c)
	return lost
}

// drop forgets an attempt.
func (b *backend) drop(c *attempt) {
	if b.attempts[c.id] == c {
		delete(b.attempts, c.id)
	}
	if b.numbers[c.number[0]] == c {
		delete(b.numbers, c.number[0])
	}
}

// find returns the attempt that got a grant, or nil if this client knows nothing of it.
func (b *backend) find(g driver.Grant) *attempt {
	id := attemptKey{g.Key, g.AttemptID}
	if c, ok := g.Handle.(*attempt); ok && c.backend == b && c.id == id {
		return c
	}
	return b.attempts[id]
}

// onPush records what a push says of an attempt's claim. A claim that is not known has ended, or the reply that would
// name it is not there yet; that reply then is the one to an old copy of the request, and the
// claim is asked about at once: see [attempt.OnReply].
func (b *backend) onPush(p command.Claim) {
	b.mu.Lock()
	c := b.numbers[p.Number]
	var lost func(error)
	switch {
	case c == nil:
	case p.Code == command.Granted:
		b.hold(c, p.Token, c.start)
	case p.Code == command.Evicted, p.Code == command.Expired:
		lost = b.end(c)
	}
	b.mu.Unlock()
	if lost != nil {
		lost(why(p.Code))
	}
}

// onVoid is called when the cluster has lost all that it has granted. All holders are told at once,
// and waiters ask again. What was asked and has no answer is not known here to be a claim;
// its session is gone, too, and the core asks again.
func (b *backend) onVoid(text string) {
	why := errors.New(text)
	var lost []func(error)
	b.mu.Lock()
	for _, c := range b.numbers {
		if f := b.end(c); f != nil {
			lost = append(lost, f)
		}
	}
	b.mu.Unlock()
	for _, f := range lost {
		f(why)
	}
}
