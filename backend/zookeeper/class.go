package zookeeper

import (
	"time"

	"github.com/fencelock/fencelock/driver/claims"
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

// longestClass is the longest TTL whose class has a session of at most the given
// timeout.
func longestClass(timeout time.Duration) time.Duration {
	return claims.LongestSessionTTL(min(timeout-relayLag, maxTTL))
}
