package sim

import "time"

// skew is how far the rate of a clock may be off, either way. The lease that a client counts
// on is 0.9 of its TTL: with a leader that is fast by this and a client that is slow by it,
// 0.9/(1-skew) is still less than 1/(1+skew).
const skew = 0.05

// clock is a monotonic clock of one machine: it starts anywhere and runs at its own rate.
type clock struct {
	rate  float64
	start time.Duration
}

// read tells what it shows at a moment of the world.
func (c clock) read(now time.Duration) time.Duration {
	return c.start + time.Duration(float64(now)*c.rate)
}

// real is how long the world takes for what this clock shows as d.
func (c clock) real(d time.Duration) time.Duration {
	return time.Duration(float64(d) / c.rate)
}
