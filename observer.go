package fencelock

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// Observer is told of what happens to locks: the place for metrics and traces.
//
// Observe is called by one goroutine at a time, in the order in which things happened, and
// soon after they did. It may take its time: no lock waits for it, and none is lost by
// it. Of the events that it has not taken 1,024 are kept; those that come then are dropped,
// and an EventDropped in their place tells how many. Close waits for what is left, within
// its 5 s.
//
// The context has the values of the caller's, where there is a caller; it is never
// cancelled.
type Observer interface {
	Observe(ctx context.Context, e Event)
}

// EventKind says what happened.
type EventKind int

const (
	// EventAcquired means that a lock was granted. Took is the time from the call.
	EventAcquired EventKind = iota + 1
	// EventNotAcquired means that Lock or TryLock returned Err. Took is the time from the call.
	EventNotAcquired
	// EventRenewed means that Count leases were renewed in one batch. Took is the round trip.
	EventRenewed
	// EventRenewFailed means that the server could not renew Count leases, with Err for one
	// of them. They are asked for again until their deadline. Took is the round trip.
	EventRenewFailed
	// EventUnlocked means that Unlock ended a lease, with Err if the server did not confirm.
	// Held is how long the lease was held, and Took the time that the release took: zero
	// where WithMinHold keeps the lock.
	EventUnlocked
	// EventLost means that a lease ended before Unlock, or that Unlock found that it had. It
	// comes once for each lost lease. Held is how long the lease was held, as far as this
	// process knew.
	EventLost
	// EventDropped means that Count events are missing here, since Observe did not return in
	// time.
	EventDropped
	// EventWaiting means that the server has told for the first time in this call of Lock
	// that another holds the lock. Took is the time from the call. EventAcquired or
	// EventNotAcquired follows. Of the goroutines of this process that wait for one key only
	// the first asks the server: the event of each other comes when it is first.
	EventWaiting
)

func (k EventKind) String() string {
	names := [...]string{"none", "acquired", "not acquired", "renewed", "renew failed", "unlocked", "lost", "dropped", "waiting"}
	if k < 0 || int(k) >= len(names) {
		return "unknown"
	}
	return names[k]
}

// Event is what an [Observer] gets. Fields may be added.
type Event struct {
	Kind      EventKind
	Backend   string        // Info.Name
	Namespace string        // Info.Namespace
	Key       string        // empty for EventRenewed, EventRenewFailed and EventDropped
	Token     fencing.Token // of the lease, where there is one
	Took      time.Duration // the latency of what was asked; see each kind
	Held      time.Duration // from the grant to the end of the lease; for EventUnlocked and EventLost
	Count     int           // leases in a renewal batch, or events that were dropped
	Err       error
}

// observed is an event on its way to the observer.
type observed struct {
	ctx   context.Context //nolint:containedctx // handed on with the event
	event Event
}

func newEvents(ctx context.Context, to Observer, info driver.Info) *outbox[observed] {
	if to == nil {
		return nil
	}
	return &outbox[observed]{
		give: func(o observed) { to.Observe(o.ctx, o.event) },
		giveGap: func(count int) {
			to.Observe(ctx, Event{Kind: EventDropped, Backend: info.Name, Namespace: info.Namespace, Count: count})
		},
	}
}

func (c *Client) observe(ctx context.Context, e Event) {
	if c.events == nil {
		return
	}
	e.Backend, e.Namespace = c.info.Name, c.info.Namespace
	with := c.detached //nolint:contextcheck // as it is
	if ctx != nil {    // else of a call that was refused for that
		with = context.WithoutCancel(ctx)
	}
	c.events.put(observed{with, e})
}

// flush waits until the log and the observer have got what is on its way to them, or
// until ctx ends.
func (c *Client) flush(ctx context.Context) {
	c.lines.flush(ctx)
	if c.events != nil {
		c.events.flush(ctx)
	}
}
