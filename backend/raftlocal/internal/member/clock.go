package member

import "time"

// maxLook is the most that one look counts for: two ticks. A member that was suspended, or
// whose disk hung, does not make up for it: nobody could renew meanwhile.
const maxLook = 100 * time.Millisecond

// clusterClock is the clock of the cluster while this member leads. It begins where the last
// entry left it and never runs faster than the leader's own monotonic clock, so no lease ends
// early by it.
type clusterClock struct {
	at   int64 // nanoseconds of the cluster's time, at the last look
	last time.Duration
}

// start begins at the stamp of the last entry that was applied.
func (c *clusterClock) start(at int64, now time.Duration) { c.at, c.last = at, now }

// look returns the time. now must have been read after all commands that will get this stamp
// came in, or their leases would begin before they were asked for.
func (c *clusterClock) look(now time.Duration) int64 {
	if d := now - c.last; d > 0 {
		c.at += int64(min(d, maxLook))
		c.last = now
	}
	return c.at
}
