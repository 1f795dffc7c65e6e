// Package claims has what several backends need for the claims that they keep. [Tombstones] remember
// attempts that were released and must stay out. [SessionTTL] chooses the TTL of a session that serves many
// claims.
package claims

import (
	"math/bits"
	"time"
)

// MaxTombstones is the number of later releases during which a released attempt stays out. A call that was
// under way when its attempt was released is late by far less.
const MaxTombstones = 8192

// Tombstones remembers the last attempts that were released, so that a late call of one
// of them is refused. ID names an attempt: by itself, or together with a key. The
// zero value is empty. It is not safe for concurrent use.
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

// SessionTTL is the TTL of the session that serves leases of a TTL: the next whole second, and
// from 16 s on the next of eight steps from one power of two to the next. So no choice of
// TTLs makes many sessions: fewer than 120 up to a day. The price is that a lock outlives a dead
// holder by up to an eighth of its TTL.
func SessionTTL(ttl time.Duration) time.Duration {
	s := uint64((ttl + time.Second - 1) / time.Second)
	step := stepAt(s)
	return time.Duration((s+step-1)/step*step) * time.Second
}

// LongestSessionTTL is the longest that SessionTTL returns of those that are not longer than a TTL. Zero if there is none.
func LongestSessionTTL(ttl time.Duration) time.Duration {
	s := uint64(max(ttl, 0) / time.Second)
	step := stepAt(s)
	return time.Duration(s/step*step) * time.Second
}

func stepAt(seconds uint64) uint64 {
	if seconds < 16 {
		return 1
	}
	return 1 << (bits.Len64(seconds) - 4)
}
