package redis_test

import (
	"context"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestDeadHolderBehindACancelledWaiter: whoever becomes the first in the queue
// because the one before it left must know of it before the holder's lease ends.
func TestDeadHolderBehindACancelledWaiter(t *testing.T) {
	t.Parallel()
	const ttl = time.Second
	s, ns := servers.Shared(t, servers.Redis), locktest.Namespace()
	watcher, holder := open(t, s.Addr(), ns, time.Minute), openMortal(t, s.Addr(), ns)
	locktest.Lock(t, holder, "k", fencelock.WithTTL(ttl))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	locktest.StartLock(ctx, open(t, s.Addr(), ns, time.Minute), "k")
	awaitWaiters(t, watcher, "k", 1)
	living := locktest.StartLock(t.Context(), open(t, s.Addr(), ns, time.Minute), "k")
	awaitWaiters(t, watcher, "k", 2)
	cancel()
	awaitWaiters(t, watcher, "k", 1)
	holder.die()
	locktest.Unlock(t, locktest.ExpectLock(t, living, ttl+locktest.Slack))
}
