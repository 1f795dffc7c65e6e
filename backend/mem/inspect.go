package mem

import (
	"context"
	"fmt"
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
		return driver.Status{Key: key}, nil
	}
	now := time.Now()
	l.settle(now)
	c := l.holder
	if c == nil {
		return driver.Status{Key: key}, nil
	}
	return driver.Status{
		Key:     key,
		Holders: []driver.Holder{{AttemptID: c.owner, Identity: c.identity, Meta: c.meta, Token: c.token, Left: c.until.Sub(now)}},
		Waiters: len(l.queue),
	}, nil
}

// Evict tells the holder at once, and hands the key on.
func (b *backend) Evict(ctx context.Context, key, attemptID string) error {
	if attemptID != "" {
		return fmt.Errorf("%w: to evict one attempt", driver.ErrUnsupported)
	}
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

// ListHeld is not there yet.
func (b *backend) ListHeld(context.Context, string, string, int) (driver.Page, error) {
	return driver.Page{}, fmt.Errorf("%w: to list", driver.ErrUnsupported)
}
