package mem

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/driver"
)

func (b *backend) Inspect(ctx context.Context, key string) (driver.Status, error) {
	if err := b.usable(ctx); err != nil {
		return driver.Status{}, err
	}
	b.space.mu.Lock()
	defer b.space.unlock()
	l := b.space.lines[b.id(key)]
	if l == nil {
		return driver.Status{}, nil
	}
	now := time.Now()
	l.settle(now)
	c := l.holder
	if c == nil {
		return driver.Status{}, nil
	}
	return driver.Status{
		Held:    true,
		Owner:   c.owner,
		Meta:    c.meta,
		Token:   c.token,
		TTL:     c.until.Sub(now),
		Waiters: len(l.queue),
	}, nil
}

// Evict tells the holder at once, and hands the key on.
func (b *backend) Evict(ctx context.Context, key string) error {
	if err := b.usable(ctx); err != nil {
		return err
	}
	b.space.mu.Lock()
	defer b.space.unlock()
	l := b.space.lines[b.id(key)]
	if l == nil {
		return driver.ErrNotHeld
	}
	now := time.Now()
	l.settle(now)
	if l.holder == nil {
		return driver.ErrNotHeld
	}
	l.lose(driver.ErrEvicted)
	l.settle(now)
	return nil
}
