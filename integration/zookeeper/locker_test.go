package zookeeper_test

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// soon is more than anything here takes, and less than a test's patience.
const soon = 15 * time.Second

// open is dial with the core on top.
func open(t *testing.T, addr, ns string, ttl time.Duration) *fencelock.Client {
	t.Helper()
	return locktest.Open(t, "zookeeper://"+addr, ns, ttl)
}

// lock takes a lock that is free, or will be soon.
func lock(t *testing.T, l fencelock.Locker, key string) *fencelock.Lease {
	t.Helper()
	return locktest.ExpectLock(t, locktest.StartLock(t.Context(), l, key), soon)
}

// awaitWaiters waits until n claims stand behind the holder's.
func awaitWaiters(t *testing.T, c *fencelock.Client, key string, n int) {
	t.Helper()
	locktest.AwaitWaiters(t, soon, c, key, n)
}
