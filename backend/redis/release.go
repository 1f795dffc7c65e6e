package redis

import (
	"context"
	"errors"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
)

// keepOut is how long an owner that was released without its requests being
// accounted for is kept out. A packet that is later than this would leave a lock
// that nobody holds until its TTL ends; it could not make two holders.
const keepOut = time.Minute

// Release ends a claim, and hands the lock to the next in the queue.
func (b *backend) Release(ctx context.Context, g driver.Grant) error {
	b.waiters.drop(g.AttemptID)
	timeout := 3 * time.Second
	if g.TTL > 0 {
		timeout = driver.RequestTimeout(g.TTL)
	}
	args := append(make([]any, 0, 3), b.lockKey(g.Key), g.AttemptID)
	if h, known := g.Handle.(handle); !known || h.late {
		args = append(args, keepOut.Milliseconds())
	}
	reply, err := b.node.Eval(ctx, timeout, releaseScript, 1, args...)
	if errors.Is(err, node.ErrStale) {
		// Most likely nothing was done. Ask again: a copy that ends the grant says so.
		// If this one finds nothing, the first may have ended it; nobody knows.
		if again, failed := b.node.Eval(ctx, timeout, releaseScript, 1, args...); failed == nil && again == int64(1) {
			return nil
		}
	}
	if err != nil {
		return node.Classify(ctx, err)
	}
	switch reply {
	case int64(1):
		return nil
	case int64(0), int64(2): // 2: released before, by an earlier call, which had the answer
		return driver.ErrNotHeld
	}
	return unexpected("release", reply)
}
