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
	var s driver.Status
	err := b.send(ctx, OpInspect, key, 0, func(bool) error { s = b.inspect(key); return nil })
	if err != nil {
		return driver.Status{}, err
	}
	return s, nil
}

func (b *backend) inspect(key string) driver.Status {
	b.space.mu.Lock()
	defer b.space.unlock()
	now := time.Now()
	k := b.space.keys[b.id(key)]
	if k == nil {
		return driver.Status{Key: key}
	}
	k.settle(now)
	s := k.status(now)
	if s.Held() {
		s.Waiters = len(k.queue)
	}
	return s
}

// ListHeld looks for the keys that follow the cursor, which is the last key of the page before, and then
// at limit of them, in the order of their bytes. A space has no index of its keys, so a page costs a walk
// over all of them; they are sorted while others use the space.
func (b *backend) ListHeld(ctx context.Context, prefix, cursor string, limit int) (driver.Page, error) {
	if limit < 1 {
		return driver.Page{}, fmt.Errorf("%w: a page of %d locks", driver.ErrInvalid, limit)
	}
	if cursor != "" && !strings.HasPrefix(cursor, prefix) {
		return driver.Page{}, fmt.Errorf("%w: no page of this prefix has had the cursor", driver.ErrInvalid)
	}
	var page driver.Page
	err := b.send(ctx, OpListHeld, "", 0, func(bool) error { page = b.listHeld(prefix, cursor, limit); return nil })
	if err != nil {
		return driver.Page{}, err
	}
	return page, nil
}

func (b *backend) listHeld(prefix, cursor string, limit int) (page driver.Page) {
	keys := b.keysAfter(prefix, cursor)
	slices.Sort(keys)
	if len(keys) > limit {
		keys = keys[:limit]
		page.Next = keys[limit-1]
	}
	b.space.mu.Lock()
	defer b.space.unlock()
	now := time.Now()
	for _, key := range keys {
		if k := b.space.keys[b.id(key)]; k != nil {
			k.settle(now)
			if s := k.status(now); s.Held() {
				s.Waiters = -1
				page.Locks = append(page.Locks, s)
			}
		}
	}
	return page
}

// keysAfter returns the keys in use that begin with prefix and are greater than the cursor.
func (b *backend) keysAfter(prefix, cursor string) (keys []string) {
	b.space.mu.Lock()
	defer b.space.unlock()
	for id := range b.space.keys {
		if id.namespace == b.namespace && id.key > cursor && strings.HasPrefix(id.key, prefix) {
			keys = append(keys, id.key)
		}
	}
	return keys
}

// status says who holds the key. The queue is left out.
func (k *keyState) status(now time.Time) driver.Status {
	s := driver.Status{Key: k.id.key}
	if c := k.holder; c != nil {
		s.Holders = []driver.Holder{{AttemptID: c.attemptID, Identity: c.identity, Meta: c.meta, Token: c.token, Left: c.until.Sub(now)}}
	}
	return s
}

// Evict tells the holder at once, and hands the key on.
func (b *backend) Evict(ctx context.Context, key, attemptID string) error {
	return b.send(ctx, OpEvict, key, 0, func(bool) error { return b.evict(key, attemptID) })
}

func (b *backend) evict(key, attemptID string) error {
	b.space.mu.Lock()
	defer b.space.unlock()
	k := b.space.keys[b.id(key)]
	if k == nil {
		return driver.ErrNotHeld
	}
	now := time.Now()
	k.settle(now)
	if k.holder == nil || attemptID != "" && k.holder.attemptID != attemptID {
		return driver.ErrNotHeld
	}
	k.lose(driver.ErrEvicted)
	k.settle(now)
	return nil
}
