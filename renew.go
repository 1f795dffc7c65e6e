package fencelock

import (
	"context"
	"errors"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// maxBatch is the largest number of leases in one Renew.
const maxBatch = 256

// renewEvery is the time from one renewal to the next.
func renewEvery(ttl time.Duration) time.Duration { return ttl / 3 }

// renewal renews the leases of a client: those that are due at about the same time go into
// one batch, one batch at a time. It has no goroutine while nothing is due.
//
// Leases whose TTLs differ by more than a factor of two are kept apart, so that a
// renewal that hangs for seconds, as it may with a long TTL, keeps no lease with a
// short one from being renewed. That makes one goroutine, and a few more where
// TTLs differ much, however many leases there are.
type renewal struct {
	client *Client

	mu      sync.Mutex
	classes map[int]*renewalClass // by the logarithm of the TTL
	stopped bool
	passes  sync.WaitGroup

	failing atomic.Int64          // leases that are held, and whose last renewal failed
	failure atomic.Pointer[error] // of the last that failed
	told    atomic.Bool           // the log knows
}

type renewalClass struct {
	queue   schedule // its timer's function is pass
	passing bool
}

// renewalEntry is the part of a Lease that belongs to the renewal.
type renewalEntry struct {
	class *renewalClass
	due   slot // in class.queue
}

func classOf(ttl time.Duration) int { return bits.Len64(uint64(ttl / time.Millisecond)) }

// add enters a lease, unless it has ended, to be renewed when it is due. It asks when
// that is under the mutex that hasten takes: a wake-up is either seen here, or hasten
// comes later and finds the lease.
func (r *renewal) add(l *Lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	due, ttl, held := l.nextRenewal()
	if r.stopped || !held {
		return
	}
	id := classOf(ttl)
	c := r.classes[id]
	if c == nil {
		if r.classes == nil {
			r.classes = make(map[int]*renewalClass)
		}
		c = &renewalClass{}
		c.queue = schedule{made: r.client.made, slot: func(l *Lease) *slot { return &l.due }, fire: func() { r.pass(c) }}
		r.classes[id] = c
	}
	l.class = c
	c.queue.put(l, due.Sub(r.client.made))
	r.arm(c)
}

// arm has a pass begin when the first is due. A pass that is under way looks at the queue when it ends.
func (r *renewal) arm(c *renewalClass) {
	if !c.passing && !r.stopped {
		c.queue.arm()
	}
}

// hasten makes everything due now.
func (r *renewal) hasten() {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Since(r.client.made)
	for _, c := range r.classes {
		c.queue.allAt(now)
		r.arm(c)
	}
}

// remove takes a lease that has ended out of the queue.
func (r *renewal) remove(l *Lease) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.class != nil {
		l.class.queue.remove(l)
	}
}

// pass renews, batch after batch, what is due. If another pass is under way, because the
// timer was set again just when it had fired, that one does it.
func (r *renewal) pass(c *renewalClass) {
	r.mu.Lock()
	c.queue.fired()
	if c.passing {
		r.mu.Unlock()
		return
	}
	for ; ; r.mu.Lock() {
		batch := c.takeDue(time.Since(r.client.made))
		if r.stopped || len(batch) == 0 {
			c.passing = false
			r.arm(c)
			r.mu.Unlock()
			return
		}
		c.passing = true
		r.passes.Add(1)
		r.mu.Unlock()

		ctx, cancel := context.WithDeadline(context.Background(), r.client.requestEnds(batch[0].ttl()))
		r.client.renewOnce(ctx, batch)
		cancel()
		for _, l := range batch {
			r.add(l)
		}
		r.passes.Done()
	}
}

// takeDue removes the leases that are due, and with them those that will be
// soon, so that leases taken one by one come to be renewed together.
func (c *renewalClass) takeDue(now time.Duration) []*Lease {
	var batch []*Lease
	ahead := time.Duration(0)
	for len(batch) < maxBatch && c.queue.first() <= now+ahead {
		first := c.queue.leases[0]
		c.queue.remove(first)
		if batch = append(batch, first); len(batch) == 1 {
			ahead = renewEvery(first.ttl()) / 4
		}
	}
	return batch
}

// stop ends renewal, and waits for the passes under way, or until ctx ends. Leases still
// held end at their deadline.
func (r *renewal) stop(ctx context.Context) {
	r.mu.Lock()
	r.stopped = true
	for _, c := range r.classes {
		c.queue.stop()
	}
	r.mu.Unlock()
	waitFor(ctx, &r.passes)
}

// renewOnce asks the backend to renew the leases, and tells each what came out.
func (c *Client) renewOnce(ctx context.Context, leases []*Lease) {
	began := time.Now()
	batch := make([]*Lease, 0, len(leases))
	grants := make([]driver.Grant, 0, len(leases))
	for _, l := range leases {
		if g, held := l.current(); held {
			batch, grants = append(batch, l), append(grants, g)
		}
	}
	if len(batch) == 0 {
		return
	}
	var confirmed, unanswered int
	var failure error
	renewals := c.backend.Renew(ctx, grants)
	c.clock.Look() // once for all
	for i := range renewals {
		renewals[i].Err = withoutContext(answer(ctx, renewals[i].Err))
		r := renewals[i]
		switch {
		case r.Err == nil:
			confirmed++
		case !errors.Is(r.Err, driver.ErrNotHeld):
			if unanswered++; failure == nil {
				failure = r.Err
				c.renewal.failure.Store(&renewals[i].Err) // before renewed counts the lease
			}
		}
		batch[i].renewed(r)
	}
	if confirmed > 0 {
		c.observe(ctx, Event{Kind: EventRenewed, Count: confirmed, Took: time.Since(began)})
	}
	if unanswered > 0 {
		c.observe(ctx, Event{Kind: EventRenewFailed, Count: unanswered, Took: time.Since(began), Err: failure})
	}
	// An outage is two lines in the log, not two for each lease and try. It is over when
	// the server has renewed something and no lease is left that it has not; leases that
	// have ended meanwhile prove nothing.
	if unanswered > 0 && c.renewal.told.CompareAndSwap(false, true) {
		c.log.Warn("fencelock: renewals fail; trying until the leases end", "leases", unanswered, "err", failure)
	}
	if confirmed > 0 && c.renewal.failing.Load() == 0 && c.renewal.told.CompareAndSwap(true, false) {
		c.log.Info("fencelock: renewals succeed again")
	}
}

// renewed handles the answer to a renewal. Only a definite answer ends the
// lease; silence leaves that to the deadline.
func (l *Lease) renewed(r driver.Renewal) {
	if r.Err != nil && errors.Is(r.Err, driver.ErrNotHeld) {
		l.tell(l.lose(explainNotHeld(r.Err)))
		return
	}
	if !l.extended(r) {
		l.tell(l.expire())
	}
}

// extended records the result of a renewal, confirmed or failed. It returns false, and records
// nothing, if the result comes after the deadline.
//
// A paused process may read an answer after the deadline of the lease. The server would still let
// nobody else in, since it extends only what was not over. But ValidUntil has said when the lease
// ends unless it is renewed before, and the application may have acted on that. Nor may it depend
// on which runs first when the process goes on, this or the deadline's timer, whether the lease
// is lost. So the deadline decides in either order. A renewal that comes in time may move the
// deadline to a moment that has passed, if its own Start is long ago. Then the timer, which is set
// to that moment, or the next call that looks at the clock, ends the lease.
func (l *Lease) extended(r driver.Renewal) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil && l.overdueLocked() {
		return false
	}
	if was := l.renewErr != nil; was != (r.Err != nil) && l.err == nil { // end has counted it off
		change := int64(1)
		if was {
			change = -1
		}
		l.client.renewal.failing.Add(change)
	}
	l.renewErr = r.Err
	// Ensure and the renewal may overlap: the later Start counts, in whichever
	// order the answers come. If the lease has ended meanwhile this changes
	// nothing that matters: renewing stops, and Unlock, or the TTL, frees what the
	// server has just extended.
	if r.Err == nil && r.Start.After(l.grant.Start) {
		l.grant.Start, l.grant.TTL, l.took = r.Start, r.TTL, 0
		if l.err == nil {
			l.watch() // a shorter TTL may end it sooner
		}
	}
	return true
}

// current returns the grant, and whether the lease is held.
func (l *Lease) current() (driver.Grant, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.grant, l.err == nil
}

func (l *Lease) ttl() time.Duration {
	g, _ := l.current()
	return g.TTL
}

// nextRenewal says when to renew: a third of the TTL after the last success,
// soon after a failure. A success from before the machine woke up counts as a failure:
// the request was under way then, or the backend has confirmed many leases at once.
func (l *Lease) nextRenewal() (due time.Time, ttl time.Duration, held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	g := l.grant
	if l.renewErr != nil || l.client.clock.Woke(g.Start) {
		return time.Now().Add(jitter(renewEvery(g.TTL) / 8)), g.TTL, l.err == nil
	}
	return g.Start.Add(renewEvery(g.TTL)), g.TTL, l.err == nil
}
