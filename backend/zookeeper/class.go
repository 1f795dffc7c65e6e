package zookeeper

import (
	"math/bits"
	"time"
)

// relayLag is how much longer a session lives than the leases on it. A server
// tells the leader of the sessions that it has heard from every half tick, so if
// it dies, the leader's count begins up to half a tick before the last contact.
// One second covers a tickTime of up to 2 s, which is the default.
const relayLag = time.Second

// The longest TTL that is offered, and the shortest: ticks make shorter ones of
// little use.
const (
	minTTL = time.Second
	maxTTL = 24 * time.Hour
)

// classOf is the TTL of the session that serves a TTL: the next whole second, and
// from 16 s on the next of eight steps in each octave. So a program with a TTL for
// everything still has few sessions.
func classOf(ttl time.Duration) time.Duration {
	s := uint64((ttl + time.Second - 1) / time.Second)
	step := stepAt(s)
	return time.Duration((s+step-1)/step*step) * time.Second
}

// longestClass is the longest TTL whose class has a session of at most the given
// timeout.
func longestClass(timeout time.Duration) time.Duration {
	s := uint64(max(min(timeout-relayLag, maxTTL), 0) / time.Second)
	step := stepAt(s)
	return time.Duration(s/step*step) * time.Second
}

func stepAt(seconds uint64) uint64 {
	if seconds < 16 {
		return 1
	}
	return 1 << (bits.Len64(seconds) - 4)
}
