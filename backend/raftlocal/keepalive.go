package raftlocal

import (
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

const (
	// often is how long the session is left alone, at the most, as long as there are claims:
	// pushes go to sessions, and one that has ended gets none.
	often = client.SessionTTL / 3
	// sweeping is how often claims are forgotten that the cluster has forgotten.
	sweeping = time.Minute
)

// keep keeps claims that wait alive, by renewing all that are due, together, within each third
// of their TTL. It is also what finds out about a grant whose push was lost; and from when a
// renewal was sent that still says "waiting", the time of the grant to come counts.
//
// Grants are not renewed here: that is the core's to do, who knows whether their holders live.
func (b *backend) keep() {
	timer := time.NewTimer(sweeping)
	defer timer.Stop()
	swept := time.Now()
	for {
		select {
		case <-timer.C:
		case <-b.wake:
		case <-b.client.Closing():
			return
		}
		now := time.Now()
		if now.Sub(swept) >= sweeping {
			swept = now
			b.sweep(now)
		}
		timer.Reset(time.Until(b.renewQueued(now)))
	}
}

// pace is how long a claim that waits is left alone.
func (c *attempt) pace() time.Duration { return min(c.ttl/3, often) }

// due is when a claim that waits must be renewed.
func (c *attempt) due() time.Time {
	if c.urgent {
		return time.Time{}
	}
	return c.start.Add(c.pace())
}

// plan sees to it that keep looks at a time, or earlier. Called with mu held.
func (b *backend) plan(at time.Time) {
	if at.Before(b.planned) {
		b.planned = at
		b.wakeKeepAlive()
	}
}

func (b *backend) wakeKeepAlive() {
	select {
	case b.wake <- struct{}{}:
	default: // it is awake
	}
}

// renewQueued renews the claims that are due, or soon will be, and returns when to look again.
// A claim that nobody waits for is left to its end.
func (b *backend) renewQueued(now time.Time) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := now.Add(sweeping)
	var due []*attempt
	for c := range b.queued {
		switch at := c.due(); {
		case c.calls == 0 || c.renewing || c.ending:
		case at.After(now.Add(c.pace() / 4)):
			next = earlier(next, at)
		default:
			c.renewing, c.urgent = true, false
			due = append(due, c)
		}
	}
	for some := range slices.Chunk(due, command.MaxClaims) {
		numbers := make([]uint64, len(some))
		for i, c := range some {
			numbers[i] = c.number[0]
		}
		if _, err := b.client.Start(command.Command{Op: command.Renew, Claims: numbers}, &renewal{attempts: some, keepAlive: true}); err != nil {
			break // closed
		}
	}
	if len(b.numbers) > 0 {
		idle := b.client.LastSent().Add(often)
		if len(due) == 0 && !idle.After(now) {
			_, _ = b.client.Start(command.Command{Op: command.Nop}, nil) // its being sent is all
			idle = now.Add(often)
		}
		next = earlier(next, idle)
	}
	b.planned = next
	return next
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// onReconnect is called when pushes may have been lost: all that wait are asked about. What holds a
// lock is asked about by the core, soon enough.
func (b *backend) onReconnect() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for c := range b.queued {
		c.urgent = true
	}
	if len(b.queued) > 0 {
		b.plan(time.Time{})
	}
}

// sweep forgets claims that nobody has asked about for so long that the cluster has ended
// them. It is memory that is freed here, and nothing decided: what somebody still has a Grant
// of is asked about with its number.
func (b *backend) sweep(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.attempts {
		over := c.until
		if c.given && !c.ending {
			over = c.start.Add(2*c.ttl + sweeping)
		}
		if c.calls == 0 && over.Before(now) {
			b.drop(c)
			delete(b.queued, c)
		}
	}
}
