package recipe

import (
	"sync/atomic"
	"time"
)

// pace tells how long nodes take to answer, and how long to wait where that decides it.
type pace struct {
	took   atomic.Int64                          // a time.Duration: of the tries that were granted, on average
	trip   func() time.Duration                  // Config.Trip; may be nil
	random func(max time.Duration) time.Duration // Config.Rand
}

// roundTrip is about how long a majority takes to answer.
func (p *pace) roundTrip() time.Duration {
	if d := time.Duration(p.took.Load()); d > 0 {
		return d
	}
	if p.trip != nil {
		if d := p.trip(); d > 0 {
			return d
		}
	}
	return time.Millisecond / 2
}

// measured averages how long granted tries took. Of two concurrent calls one may be lost.
func (p *pace) measured(d time.Duration) {
	old := p.took.Load()
	if old == 0 {
		old = int64(d)
	}
	p.took.Store(old + (int64(d)-old)/8)
}

// lateAfter is after how long a node that could answer would have, most likely.
func (p *pace) lateAfter() time.Duration { return max(20*p.roundTrip(), 20*time.Millisecond) }

// soon is within what time a client comes back that takes a key again and again.
func (p *pace) soon() time.Duration {
	return min(max(4*p.roundTrip(), time.Millisecond), 50*time.Millisecond)
}

// backoff is the pause after the given number of tries in a row in which nobody got a majority:
// anything between nothing and a bound that doubles, so that those who met do not meet again.
func (p *pace) backoff(n int, ttl time.Duration) time.Duration {
	limit := min(2*p.roundTrip()<<min(n-1, 10), ttl/16, 50*time.Millisecond)
	return p.random(limit + 1)
}

// maxConfirm is how long a waiter sleeps at most before it asks again, whatever its TTL. If the
// waiter before it has died, nobody else will tell it that the key is free.
const maxConfirm = 3 * time.Second

// confirmIn is after how long a waiter asks again, if nothing tells it to: so that its position stays, in
// time for [driver.Request].Waiting, and with some jitter, so that those that came together do not ask
// together.
func (p *pace) confirmIn(ttl time.Duration) time.Duration {
	d := min(ttl/3, maxConfirm)
	return d - p.random(d/8+1)
}

// onNode is the TTL as a node is told it: longer than that of the lease by what the clocks of both
// may differ in rate, and by the rounding of a node that counts milliseconds. So a lease that is
// counted from before the request was sent ends first with its holder.
func onNode(ttl time.Duration) time.Duration { return ttl + ttl/100 + 2*time.Millisecond }
