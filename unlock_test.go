package fencelock_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
)

// The reply to a release is lost, and another takes the lock before the release
// is sent again: that is no loss, and no harm.
func TestUnlockWithLostReply(t *testing.T) {
	bubble(t, func(t *testing.T) {
		space := mem.NewSpace()
		f := newFaulty(space)
		c, other := open(t, f, nil), open(t, mem.New(space), nil)
		l := lock(t, c, "k")
		var next *fencelock.Lease
		f.onRelease(func(ctx context.Context, g driver.Grant) error {
			f.onRelease(nil)
			if err := f.Backend.Release(ctx, g); err != nil {
				t.Errorf("Release: %v", err)
			}
			next = lock(t, other, "k")
			return driver.ErrUnavailable
		})
		if err := l.Unlock(t.Context()); err != nil {
			t.Errorf("Unlock: %v", err)
		}
		if next.Err() != nil {
			t.Errorf("the next holder: %v", next.Err())
		}
		unlock(t, next)
	})
}

// Unlock is one outcome, however many ask for it.
func TestUnlockConcurrently(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		l := lock(t, c, "k")
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if err := l.Unlock(t.Context()); err != nil {
					t.Errorf("Unlock: %v", err)
				}
			})
		}
		wg.Wait()
		if n := f.releases.Load(); n != 1 {
			t.Errorf("%d releases were sent, want 1", n)
		}
	})
}

// While its context lives, Unlock tries again; when it ends, Unlock returns after
// the try under way.
func TestUnlockRetries(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		l := lock(t, c, "k")
		tries := 0
		f.onRelease(func(ctx context.Context, g driver.Grant) error {
			if tries++; tries < 4 {
				return driver.ErrUnavailable
			}
			return f.Backend.Release(ctx, g)
		})
		if err := l.Unlock(t.Context()); err != nil || tries != 4 {
			t.Errorf("Unlock: %v after %d tries", err, tries)
		}
		f.onRelease(func(context.Context, driver.Grant) error { return driver.ErrUnavailable })
		l = lock(t, c, "k")
		ctx, cancel := context.WithTimeout(t.Context(), second)
		defer cancel()
		began := time.Now()
		if err := l.Unlock(ctx); !errors.Is(err, fencelock.ErrUnknown) || !errors.Is(err, fencelock.ErrUnavailable) {
			t.Errorf("Unlock: %v, want ErrUnknown that wraps the reason", err)
		}
		if took := time.Since(began); took != second {
			t.Errorf("Unlock took %v, want its context's second", took)
		}
		f.onRelease(nil)
		time.Sleep(20 * second)
		free(t, c, "k")
	})
}

// An operator's eviction that nobody could be told of: Unlock finds out.
func TestUnlockTellsLoss(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		l := lock(t, c, "k")
		s, _ := c.Inspect(t.Context(), "k")
		if err := f.Backend.Release(t.Context(), driver.Grant{Key: "k", Owner: s.Owner}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := l.Unlock(t.Context()); !errors.Is(err, fencelock.ErrLost) {
				t.Errorf("Unlock: %v, want ErrLost", err)
			}
		}
	})
}
