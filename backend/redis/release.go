package redis

import (
	"context"
	"fmt"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// keepOut is how long an owner that was released without its requests being
// accounted for is kept out. A packet that is later than this would leave a lock
// that nobody holds until its TTL ends; it could not make two holders.
const keepOut = time.Minute

// Release ends a claim, and hands the lock to the next in the queue.
func (b *backend) Release(ctx context.Context, g driver.Grant) error {
	b.pushes.drop(g.Owner)
	timeout := 3 * time.Second
	if g.TTL > 0 {
		timeout = requestTimeout(g.TTL)
	}
	var reply any
	var err error
	if h, known := g.Handle.(handle); known && !h.late {
		reply, err = b.eval(ctx, timeout, releaseScript, 1, b.lockKey(g.Key), g.Owner)
	} else {
		reply, err = b.eval(ctx, timeout, releaseScript, 1, b.lockKey(g.Key), g.Owner, keepOut.Milliseconds())
	}
	if err != nil {
		return fault(ctx, err)
	}
	switch reply {
	case int64(1):
		return nil
	case int64(2):
		// Released before: by a copy of this request that the client sent again, or
		// by an earlier call, which had the answer.
		if b.retries {
			return nil
		}
		return driver.ErrNotHeld
	case int64(0):
		return driver.ErrNotHeld
	}
	return fmt.Errorf("redis: unexpected reply %v to release", reply)
}
