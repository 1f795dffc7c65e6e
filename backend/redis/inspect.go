package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// adminTimeout bounds a request that is not about a lease.
const adminTimeout = 3 * time.Second

// Inspect tells who holds a key.
func (b *backend) Inspect(ctx context.Context, key string) (driver.Status, error) {
	reply, err := b.node.Eval(ctx, adminTimeout, inspectScript, 1, b.lockKey(key))
	if err != nil {
		return driver.Status{}, node.Classify(ctx, err)
	}
	unexpected := fmt.Errorf("redis: unexpected reply %v to inspect", reply)
	r, ok := reply.([]any)
	if !ok || len(r) != 5 {
		return driver.Status{}, unexpected
	}
	owner, ok1 := r[0].(string)
	meta, ok2 := r[1].(string)
	token, ok3 := r[2].(string)
	left, ok4 := r[3].(int64)
	waiters, ok5 := r[4].(int64)
	if !ok1 || !ok2 || !ok3 || !ok4 || !ok5 {
		return driver.Status{}, unexpected
	}
	s := driver.Status{Key: key, Waiters: int(waiters)}
	if owner == "" {
		return s, nil
	}
	t, err := fencing.Parse(token)
	if err != nil {
		return driver.Status{}, unexpected
	}
	h := driver.Holder{AttemptID: owner, Token: t, Left: time.Duration(left) * time.Millisecond}
	h.Identity, h.Meta = driver.SplitIdentity(meta)
	s.Holders = []driver.Holder{h}
	return s, nil
}

// Evict frees a key, whoever holds it, and tells the holder.
func (b *backend) Evict(ctx context.Context, key, attemptID string) error {
	if attemptID != "" {
		return fmt.Errorf("%w: to evict one attempt", driver.ErrUnsupported)
	}
	reply, err := b.node.Eval(ctx, adminTimeout, evictScript, 1, b.lockKey(key))
	switch {
	case err != nil:
		return node.Classify(ctx, err)
	case reply == int64(1):
		return nil
	case reply == int64(0):
		return driver.ErrNotHeld
	}
	return fmt.Errorf("redis: unexpected reply %v to evict", reply)
}

// ListHeld is not there yet.
func (b *backend) ListHeld(context.Context, string, string, int) (driver.Page, error) {
	return driver.Page{}, fmt.Errorf("%w: to list", driver.ErrUnsupported)
}
