package redis

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
)

// tombstoneTTL is how long the server refuses requests of an attempt that was released while requests
// of it may still have been under way. A packet that arrives later than this could take a lock that
// nobody then holds, until its TTL ends; it could not make two holders.
const tombstoneTTL = time.Minute

var tombstone = strconv.FormatInt(tombstoneTTL.Milliseconds(), 10)

// Release ends a claim, and hands the lock to the next in the queue. It leaves a tombstone unless it is
// certain that no request of the attempt is still under way.
func (b *backend) Release(ctx context.Context, g driver.Grant) error {
	a, token, late := b.registry.release(g)
	timeout := 3 * time.Second
	if g.TTL > 0 {
		timeout = driver.RequestTimeout(g.TTL)
	}
	p := part{kind: kind{script: releaseScript}, lock: b.lockKey(g.Key), attempt: g.AttemptID, timeout: timeout}
	if late {
		p.ttl = tombstone
	} else if a != nil && token != 0 {
		p.held = held{token, b.ttl.text(a.TTL), a.identity}
	}
	got := b.store.ask(ctx, p)
	if errors.Is(got.err, node.ErrStale) {
		// Most likely the first request was not carried out. Ask again: if the second ends the grant, that is
		// certain. If the second finds nothing, the first may have ended the grant; nobody knows.
		if again := b.store.ask(ctx, p); again.err == nil && again.reply == int64(1) {
			b.releases.add(p, g.TTL)
			return nil
		}
	}
	if got.err != nil {
		return node.Classify(ctx, got.err)
	}
	b.releases.add(p, g.TTL)
	switch got.reply {
	case int64(1):
		return nil
	case int64(0), int64(2): // 2: an earlier call has released it, and had the answer
		return driver.ErrNotHeld
	}
	return unexpected("release", got.reply)
}
