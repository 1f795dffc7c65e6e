package mem

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Renew extends what is held. Now plus the TTL of the grant never lies before
// its present end, so a renewal cannot shorten it.
func (b *backend) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	out := make([]driver.Renewal, len(grants))
	for i, g := range grants {
		out[i] = b.renew(ctx, g)
	}
	return out
}

// renew takes the lock for one grant at a time, so that a batch of 100,000 does
// not keep others waiting.
func (b *backend) renew(ctx context.Context, g driver.Grant) driver.Renewal {
	if err := b.usable(ctx); err != nil {
		return driver.Renewal{Err: err}
	}
	b.space.mu.Lock()
	defer b.space.unlock()
	l := b.space.lines[b.id(g.Key)]
	if l == nil {
		return driver.Renewal{Err: driver.ErrNotHeld}
	}
	now := time.Now()
	l.settle(now)
	c := l.held(g.AttemptID, g.Token)
	if c == nil {
		return driver.Renewal{Err: driver.ErrNotHeld}
	}
	c.start, c.until = now, now.Add(c.ttl)
	l.settle(now)
	return driver.Renewal{Start: now, TTL: c.ttl}
}
