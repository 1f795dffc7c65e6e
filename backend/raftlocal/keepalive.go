package raftlocal

import (
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/driver/attempts"
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
		case <-b.registry.wake:
		case <-b.client.Closing():
			return
		}
		now := time.Now()
		if now.Sub(swept) >= sweeping {
			swept = now
			b.mu.Lock()
			b.registry.sweep(now)
			b.mu.Unlock()
		}
		timer.Reset(time.Until(b.renewQueued(now)))
	}
}

// pace is how long a claim that waits is left alone.
func (a *attempt) pace() time.Duration { return min(a.TTL/3, often) }

// due is when a claim that waits must be renewed.
func (a *attempt) due() time.Time {
	if a.urgent {
		return time.Time{}
	}
	return a.start.Add(a.pace())
}

// renewQueued renews the claims that are due, or soon will be, and returns when to look again.
// A claim that nobody waits for is left to its end.
func (b *backend) renewQueued(now time.Time) time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	next := now.Add(sweeping)
	var due []*attempt
	for a := range b.registry.queued {
		switch at := a.due(); {
		case a.Calls() == 0 || a.renewing || a.Phase() >= attempts.Ending:
		case at.After(now.Add(a.pace() / 4)):
			next = earlier(next, at)
		default:
			a.renewing, a.urgent = true, false
			due = append(due, a)
		}
	}
	for some := range slices.Chunk(due, command.MaxClaims) {
		numbers := make([]uint64, len(some))
		for i, a := range some {
			numbers[i] = a.number[0]
		}
		if _, err := b.client.Start(command.Command{Op: command.Renew, Claims: numbers}, &renewal{attempts: some, keepAlive: true}); err != nil {
			break // closed
		}
	}
	if len(b.registry.numbers) > 0 {
		idle := b.client.LastSent().Add(often)
		if len(due) == 0 && !idle.After(now) {
			_, _ = b.client.Start(command.Command{Op: command.Nop}, nil) // its being sent is all
			idle = now.Add(often)
		}
		next = earlier(next, idle)
	}
	b.registry.planned = next
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
	for a := range b.registry.queued {
		a.urgent = true
	}
	if len(b.registry.queued) > 0 {
		b.registry.plan(time.Time{})
	}
}
