package redis

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// adminTimeout bounds a request that is not about a lease.
const adminTimeout = 3 * time.Second

// Inspect tells who holds a key.
func (b *backend) Inspect(ctx context.Context, key string) (driver.Status, error) {
	reply, err := b.store.look(ctx, inspectScript, b.lockKey(key))
	if err != nil {
		return driver.Status{}, node.Classify(ctx, err)
	}
	r, ok := reply.([]any)
	if !ok || len(r) != 5 {
		return driver.Status{}, unexpected("inspect", reply)
	}
	waiters, ok := r[4].(int64)
	if !ok {
		return driver.Status{}, unexpected("inspect", reply)
	}
	s := driver.Status{Key: key, Waiters: int(waiters)}
	if r[0] == "" {
		return s, nil
	}
	h, ok := parseHolder(r[:4])
	if !ok {
		return driver.Status{}, unexpected("inspect", reply)
	}
	s.Holders = []driver.Holder{h}
	return s, nil
}

// parseHolder reads what a script tells of a holder: its attempt, what JoinIdentity has made, its
// token, and what is left of its lease in ms.
func parseHolder(r []any) (h driver.Holder, ok bool) {
	if len(r) != 4 {
		return h, false
	}
	attempt, ok1 := r[0].(string)
	joined, ok2 := r[1].(string)
	text, ok3 := r[2].(string)
	left, ok4 := r[3].(int64)
	token, err := fencing.Parse(text)
	if !ok1 || !ok2 || !ok3 || !ok4 || err != nil {
		return h, false
	}
	h = driver.Holder{AttemptID: attempt, Token: token, Left: time.Duration(max(left, 0)) * time.Millisecond}
	h.Identity, h.Meta = driver.SplitIdentity(joined)
	return h, true
}

// Evict ends the grant of attemptID, or any grant of the key if attemptID is empty, and tells its holder.
// The script compares the attempt, so the next holder is never hit.
func (b *backend) Evict(ctx context.Context, key, attemptID string) error {
	reply, err := b.store.look(ctx, evictScript, b.lockKey(key), attemptID)
	switch {
	case err != nil:
		return node.Classify(ctx, err)
	case reply == int64(1):
		return nil
	case reply == int64(0):
		return driver.ErrNotHeld
	}
	return unexpected("evict", reply)
}
