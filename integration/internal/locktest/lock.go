package locktest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
)

// Attempt is what became of a call of Lock.
type Attempt struct {
	Lease *fencelock.Lease
	Err   error
	At    time.Time // when it returned
}

// StartLock calls Lock in a goroutine of its own.
func StartLock(ctx context.Context, l fencelock.Locker, key string, opts ...fencelock.LockOption) <-chan Attempt {
	out := make(chan Attempt, 1)
	go func() {
		lease, err := l.Lock(ctx, key, opts...)
		out <- Attempt{lease, err, time.Now()}
	}()
	return out
}

// Outcome waits for a Lock that is under way.
func Outcome(t T, a <-chan Attempt, within time.Duration) Attempt {
	t.Helper()
	select {
	case got := <-a:
		return got
	case <-time.After(within):
		t.Fatalf("Lock did not return within %v", within)
		return Attempt{}
	}
}

// ExpectLock wants it to succeed.
func ExpectLock(t T, a <-chan Attempt, within time.Duration) *fencelock.Lease {
	t.Helper()
	got := Outcome(t, a, within)
	if got.Err != nil {
		t.Fatalf("Lock: %v", got.Err)
	}
	return got.Lease
}

// Lock takes a lock that is free, or will be soon.
func Lock(t T, l fencelock.Locker, key string, opts ...fencelock.LockOption) *fencelock.Lease {
	t.Helper()
	return ExpectLock(t, StartLock(t.Context(), l, key, opts...), Soon)
}

// Unlock wants to have held the lock until then.
func Unlock(t T, l *fencelock.Lease) {
	t.Helper()
	if err := l.Unlock(t.Context()); err != nil {
		t.Fatalf("Unlock: %v", err)
	}
}

// ExpectLost waits for a lease to end, and wants it to be by loss.
func ExpectLost(t T, l *fencelock.Lease, within time.Duration) {
	t.Helper()
	Await(t, within, "the lease is lost", l.Done())
	if err := l.Err(); !errors.Is(err, fencelock.ErrLost) {
		t.Fatalf("Err = %v, want ErrLost", err)
	}
}

// AwaitRenewal waits until a lease is held by a renewal that was sent after some
// moment, and wants it not to be lost meanwhile.
func AwaitRenewal(t T, l *fencelock.Lease, ttl time.Duration, after time.Time) {
	t.Helper()
	trusted := ttl - ttl/10
	Eventually(t, time.Until(after)+ttl, "the lease is renewed", func() bool {
		if err := l.Err(); err != nil {
			t.Fatalf("the lease has ended: %v", err)
		}
		return l.ValidUntil().After(after.Add(trusted))
	})
}

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

// ListHeld asks for all pages of what is held under a prefix. It wants them to be as the contract
// says, and each key to come once: on one Redis alone it may come twice.
func ListHeld(t T, b driver.Backend, prefix string, limit int) map[string]driver.Status {
	t.Helper()
	all := make(map[string]driver.Status)
	for cursor := ""; ; {
		page, err := b.ListHeld(t.Context(), prefix, cursor, limit)
		if err != nil {
			t.Fatalf("ListHeld(%q, %q, %d): %v", prefix, cursor, limit, err)
		}
		if len(page.Locks) > limit {
			t.Errorf("ListHeld(%q, %q, %d) has %d locks", prefix, cursor, limit, len(page.Locks))
		}
		for _, s := range page.Locks {
			if len(s.Holders) != 1 || s.Waiters != -1 || !strings.HasPrefix(s.Key, prefix) {
				t.Errorf("ListHeld(%q) has %+v", prefix, s)
			}
			if _, twice := all[s.Key]; twice && b.Info().Name != "redis" {
				t.Errorf("%q is listed twice", s.Key)
			}
			all[s.Key] = s
		}
		if cursor = page.Next; cursor == "" {
			return all
		}
	}
}

// ExpectKeys wants these keys to be listed and no others.
func ExpectKeys(t T, listed map[string]driver.Status, want ...string) {
	t.Helper()
	slices.Sort(want)
	if keys := slices.Sorted(maps.Keys(listed)); !slices.Equal(keys, want) {
		t.Errorf("listed: %q\n  want: %q", keys, want)
	}
}
