package redis

import (
	"context"
	"errors"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
)

// tombstoneTTL is how long the server refuses requests of an attempt that was released while requests
// of it may still have been under way. A packet that arrives later than this could take a lock that
// nobody then holds, until its TTL ends; it could not make two holders.
const tombstoneTTL = time.Minute

// Release ends a claim, and hands the lock to the next in the queue. It leaves a tombstone unless it is
// certain that no request of the attempt is still under way.
func (b *backend) Release(ctx context.Context, g driver.Grant) error {
	late := b.registry.release(g)
	timeout := 3 * time.Second
	if g.TTL > 0 {
		timeout = driver.RequestTimeout(g.TTL)
	}
	args := append(make([]any, 0, 3), b.lockKey(g.Key), g.AttemptID)
	if late {
		args = append(args, tombstoneTTL.Milliseconds())
	}
	reply, err := b.node.Eval(ctx, timeout, releaseScript, 1, args...)
	if errors.Is(err, node.ErrStale) {
		// Most likely the first request was not carried out. Ask again: if the second ends the grant, that is
		// certain. If the second finds nothing, the first may have ended the grant; nobody knows.
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
	case int64(0), int64(2): // 2: an earlier call has released it, and had the answer
		return driver.ErrNotHeld
	}
	return unexpected("release", reply)
}
