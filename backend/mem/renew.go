package mem

import (
	"context"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Renew extends what is held. Now plus the TTL of the grant never lies before
// its present end, so a renewal cannot shorten it. Where faults are injected each grant meets its own, side
// by side, so that a batch takes no longer than the slowest of its requests.
func (b *backend) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	out := make([]driver.Renewal, len(grants))
	if !b.space.faults.any.Load() {
		for i, g := range grants {
			out[i] = b.renew(ctx, g)
		}
		return out
	}
	var wg sync.WaitGroup
	for i, g := range grants {
		wg.Go(func() {
			err := b.send(ctx, OpRenew, g.Key, g.TTL, func(bool) error {
				out[i] = b.renew(ctx, g)
				return out[i].Err
			})
			if err != nil {
				out[i] = driver.Renewal{Err: err}
			}
		})
	}
	wg.Wait()
	return out
}

// renew locks the space for one grant at a time, so that a batch of 100,000 does
// not keep others waiting.
func (b *backend) renew(ctx context.Context, g driver.Grant) driver.Renewal {
	if err := b.usable(ctx); err != nil {
		return driver.Renewal{Err: err}
	}
	b.space.mu.Lock()
	defer b.space.unlock()
	k := b.space.keys[b.id(g.Key)]
	if k == nil {
		return driver.Renewal{Err: driver.ErrNotHeld}
	}
	now := time.Now()
	k.settle(now)
	c := k.heldBy(g.AttemptID, g.Token)
	if c == nil {
		return driver.Renewal{Err: driver.ErrNotHeld}
	}
	c.start, c.until = now, now.Add(c.ttl)
	k.settle(now)
	return driver.Renewal{Start: now, TTL: c.ttl}
}
