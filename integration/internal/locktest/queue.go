package locktest

import (
	"errors"
	"fmt"
	"time"

	"github.com/fencelock/fencelock"
)

// AwaitWaiters waits until n claims stand behind the holder's. Who asks may have to do
// without a server meanwhile, as after a restart and during an election.
func AwaitWaiters(t T, within time.Duration, c *fencelock.Client, key string, n int) {
	t.Helper()
	Eventually(t, within, fmt.Sprintf("%d wait", n), func() bool {
		s, err := c.Inspect(t.Context(), key)
		if err != nil && !errors.Is(err, fencelock.ErrUnavailable) {
			t.Fatalf("Inspect: %v", err)
		}
		return err == nil && s.Waiters == n
	})
}

// ExpectHeldByAnother has TryLock say so. It may need a while to reach a member
// that can tell.
func ExpectHeldByAnother(t T, c *fencelock.Client, key string) {
	t.Helper()
	Eventually(t, Electing, "TryLock learns who holds the lock", func() bool {
		l, err := c.TryLock(t.Context(), key)
		if err == nil {
			t.Fatalf("TryLock of a lock that is held: token %v", l.Token())
		}
		if !errors.Is(err, fencelock.ErrHeld) && !errors.Is(err, fencelock.ErrUnavailable) {
			t.Fatalf("TryLock = %v, want ErrHeld", err)
		}
		return errors.Is(err, fencelock.ErrHeld)
	})
}
