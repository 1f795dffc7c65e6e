package attempts

import (
	"fmt"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// Phase is where an attempt is between its client and its caller. It only moves forward. What the server
// makes of the attempt meanwhile (a position in a queue, a claim that got another number) is the backend's
// own part.
type Phase uint8

// The phases, in their order.
const (
	Asking Phase = iota // it may be anything on the server; no grant was handed out
	Held                // Acquire has handed out its grant
	Ending              // Release has come, or the backend itself ends it
	Gone                // nothing of it is on the server, for certain
)

// ID names an attempt on the key that it wants. One AttemptID may have been released on one key and not on
// another.
type ID struct{ Key, AttemptID string }

// Attempt is the part of an attempt that is the same in all backends. A backend embeds it in a struct of its
// own.
type Attempt struct {
	ID
	TTL time.Duration // that the first request asked for

	// Sent says that something of the attempt may be on the server. The backend sets it before it sends a
	// request that may leave something there, and clears it when an answer says that nothing is there; with
	// two calls under way, or a late request, only if the other request cannot have left anything.
	Sent bool

	// Late says that a request which was sent has no answer, and may be carried out at any time from now
	// on: Release has to make sure that it then makes nothing. The backend sets it when a request has
	// failed without an answer, and Enter for a Retry. Nothing clears it.
	Late bool

	phase      Phase
	granted    bool // a grant was handed out, once
	released   bool // Release has come
	grantEnds  bool // and has found the grant
	calls      int32
	token      fencing.Token // of the grant
	expires    time.Time
	lost       func(why error)
	nextWithID entry // the attempt of the same AttemptID on another key
	ledger     *Tombstones[ID]
}

type entry interface{ base() *Attempt }

func (a *Attempt) base() *Attempt { return a }

// Phase is where the attempt is.
func (a *Attempt) Phase() Phase { return a.phase }

// Calls is the number of calls of Acquire under way.
func (a *Attempt) Calls() int { return int(a.calls) }

// Expires is when the attempt is over unless somebody asks about it: the end of its lease once it was held,
// otherwise the time that Leave was given. Zero if it has none yet.
func (a *Attempt) Expires() time.Time { return a.expires }

// Overdue reports whether the attempt has expired, and nobody asks about it or ends it. The server may have
// it all the same, where the backend's session keeps it alive.
func (a *Attempt) Overdue(now time.Time) bool {
	return a.phase < Ending && a.calls == 0 && !a.expires.IsZero() && !now.Before(a.expires)
}

// Token is that of the grant; 0 if none was handed out.
func (a *Attempt) Token() fencing.Token { return a.token }

// Granted reports whether Acquire has handed out a grant of the attempt, whatever has become of it since.
func (a *Attempt) Granted() bool { return a.granted }

// ReleaseEndsGrant reports whether the first Release has found the attempt held. Then there was a grant to
// end, as far as this client knew, and this Release returns nil unless the server says that the grant had
// ended before; so does each that comes because the first had no answer. Otherwise there was none: it was
// never handed out, was overdue and ended by the backend, or was lost.
func (a *Attempt) ReleaseEndsGrant() bool { return a.grantEnds }

// Err says why an attempt is over, and is nil as long as it is not. driver.ErrReleased is for one that was
// released, or was held once, and must not be granted again. For another it is an ErrUnavailable, with which
// the core asks again.
func (a *Attempt) Err() error {
	switch {
	case a.phase < Ending:
		return nil
	case a.released || a.granted:
		return driver.ErrReleased
	}
	return errPositionGone
}

var errPositionGone = fmt.Errorf("%w: the attempt's position in the queue is gone", driver.ErrUnavailable)

// MaxTombstones is the number of later tombstones during which a released attempt stays out. A call that was
// under way when its attempt was released is late by far less.
const MaxTombstones = 8192

// Tombstones remembers the last attempts that were released, so that a late call of one of them is refused.
// ID names an attempt: by itself, or together with a key. The zero value is empty. It is not safe for
// concurrent use.
type Tombstones[ID comparable] struct {
	ids  map[ID]struct{}
	ring []ID // the same, oldest at next once the ring is full
	next int
}

// Has reports whether an attempt was released.
func (r *Tombstones[ID]) Has(id ID) bool {
	_, ok := r.ids[id]
	return ok
}

// Add notes that an attempt was released.
func (r *Tombstones[ID]) Add(id ID) {
	if r.Has(id) {
		return
	}
	if r.ids == nil {
		r.ids = make(map[ID]struct{})
	}
	r.ids[id] = struct{}{}
	if len(r.ring) < MaxTombstones {
		r.ring = append(r.ring, id)
		return
	}
	delete(r.ids, r.ring[r.next])
	r.ring[r.next] = id
	r.next = (r.next + 1) % MaxTombstones
}
