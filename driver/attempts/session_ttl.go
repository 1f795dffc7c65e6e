package attempts

import (
	"math/bits"
	"time"
)

// SessionTTL is the TTL of the session that serves leases of a TTL: the next whole second, and from 16 s on
// the next of eight steps from one power of two to the next. So no choice of TTLs makes many sessions: fewer
// than 120 up to a day. The price is that a lock outlives a dead holder by up to an eighth of its TTL.
func SessionTTL(ttl time.Duration) time.Duration {
	s := uint64((ttl + time.Second - 1) / time.Second)
	step := stepAt(s)
	return time.Duration((s+step-1)/step*step) * time.Second
}

// LongestSessionTTL is the longest that SessionTTL returns of those that are not longer than a TTL. Zero if
// there is none.
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
