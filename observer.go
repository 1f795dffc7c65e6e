package fencelock

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/fencing"
)

// Observer is told of what happens to locks: the place for metrics and traces.
// Observe is called from the goroutine in which it happens, from several at once;
// it must be quick. The context is the caller's where there is one.
type Observer interface {
	Observe(ctx context.Context, e Event)
}

// EventKind says what happened.
type EventKind int

const (
	// EventAcquired: a lock was granted. Took is the time from the call.
	EventAcquired EventKind = iota + 1
	// EventNotAcquired: Lock or TryLock returned Err. Took is the time from the
	// call.
	EventNotAcquired
	// EventRenewed: Count leases were renewed in one batch. Took is the round trip.
	EventRenewed
	// EventRenewFailed: the server could not renew Count leases, with Err for one
	// of them; they are asked for again until their deadline.
	EventRenewFailed
	// EventUnlocked: Unlock ended a lease, with Err if the server did not confirm.
	// Took is how long it was held.
	EventUnlocked
	// EventLost: a lease ended before Unlock. Took is how long it was held.
	EventLost
)

func (k EventKind) String() string {
	names := [...]string{"none", "acquired", "not acquired", "renewed", "renew failed", "unlocked", "lost"}
	if k < 0 || int(k) >= len(names) {
		return "unknown"
	}
	return names[k]
}

// Event is what an [Observer] gets. Fields may be added.
type Event struct {
	Kind    EventKind
	Backend string
	Key     string        // empty for EventRenewed and EventRenewFailed
	Token   fencing.Token // of the lease, where there is one
	Took    time.Duration
	Count   int // leases in a renewal batch
	Err     error
}
