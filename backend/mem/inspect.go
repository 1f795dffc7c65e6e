package mem

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Inspect looks at one key.
func (b *backend) Inspect(ctx context.Context, key string) (driver.Status, error) {
	if err := b.usable(ctx); err != nil {
		return driver.Status{}, err
	}
	b.space.mu.Lock()
	defer b.space.unlock()
	now := time.Now()
	l := b.space.lines[b.id(key)]
	if l == nil {
		return driver.Status{Key: key}, nil
	}
	l.settle(now)
	s := l.status(now)
	if s.Held() {
		s.Waiters = len(l.queue)
	}
	return s, nil
}

// ListHeld looks for the keys that follow the cursor, which is the last key of the page before, and then
// at limit of them, in the order of their bytes. A space has no index of its keys, so a page costs a walk
// over all of them; they are sorted while others use the space.
func (b *backend) ListHeld(ctx context.Context, prefix, cursor string, limit int) (driver.Page, error) {
	if err := b.usable(ctx); err != nil {
		return driver.Page{}, err
	}
	if limit < 1 {
		return driver.Page{}, fmt.Errorf("%w: a page of %d locks", driver.ErrInvalid, limit)
	}
	if cursor != "" && !strings.HasPrefix(cursor, prefix) {
		return driver.Page{}, fmt.Errorf("%w: no page of this prefix has had the cursor", driver.ErrInvalid)
	}
	keys := b.keysAfter(prefix, cursor)
	slices.Sort(keys)
	var page driver.Page
	if len(keys) > limit {
		keys = keys[:limit]
		page.Next = keys[limit-1]
	}
	b.space.mu.Lock()
	defer b.space.unlock()
	now := time.Now()
	for _, key := range keys {
		if l := b.space.lines[b.id(key)]; l != nil {
			l.settle(now)
			if s := l.status(now); s.Held() {
				s.Waiters = -1
				page.Locks = append(page.Locks, s)
			}
		}
	}
	return page, nil
}

// keysAfter returns the keys in use that begin with prefix and are greater than the cursor.
func (b *backend) keysAfter(prefix, cursor string) (keys []string) {
	b.space.mu.Lock()
	defer b.space.unlock()
	for id := range b.space.lines {
		if id.namespace == b.namespace && id.key > cursor && strings.HasPrefix(id.key, prefix) {
			keys = append(keys, id.key)
		}
	}
	return keys
}

// status says who holds the key. The queue is left out.
func (l *line) status(now time.Time) driver.Status {
	s := driver.Status{Key: l.id.key}
	if c := l.holder; c != nil {
		s.Holders = []driver.Holder{{AttemptID: c.owner, Identity: c.identity, Meta: c.meta, Token: c.token, Left: c.until.Sub(now)}}
	}
	return s
}

// Evict tells the holder at once, and hands the key on.
func (b *backend) Evict(ctx context.Context, key, attemptID string) error {
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
	if l.holder == nil || attemptID != "" && l.holder.owner != attemptID {
		return driver.ErrNotHeld
	}
	l.lose(driver.ErrEvicted)
	l.settle(now)
	return nil
}
