package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
)

func TestCloseFreesEverything(t *testing.T) {
	bubble(t, func(t *testing.T) {
		space := mem.NewSpace()
		c, other := open(t, mem.New(space), nil), open(t, mem.New(space), nil)
		blocker := lock(t, other, "wanted")
		var held []*fencelock.Lease
		for i := range 500 {
			held = append(held, lock(t, c, fmt.Sprint("k", i)))
		}
		var wg sync.WaitGroup
		for range 10 { // one at the server, nine behind it
			wg.Go(func() {
				if l, err := c.Lock(t.Context(), "wanted"); l != nil || !errors.Is(err, fencelock.ErrClosed) {
					t.Errorf("waiter of a closed client: %v, %v; want ErrClosed", l, err)
				}
			})
		}
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		wg.Wait()
		for i, l := range held {
			if !errors.Is(l.Err(), fencelock.ErrUnlocked) {
				t.Errorf("Err of a lease after Close: %v", l.Err())
			}
			free(t, other, fmt.Sprint("k", i))
		}
		if s, _ := other.Inspect(t.Context(), "wanted"); s.Waiters != 0 {
			t.Errorf("%d waiters left after Close", s.Waiters)
		}
		if err := c.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if _, err := c.Lock(t.Context(), "k"); !errors.Is(err, fencelock.ErrClosed) {
			t.Errorf("Lock after Close: %v", err)
		}
		if _, err := c.Inspect(t.Context(), "k"); !errors.Is(err, fencelock.ErrClosed) {
			t.Errorf("Inspect after Close: %v", err)
		}
		unlock(t, blocker)
	})
}

// Close against Lock, in both orders and in between: whatever comes out, nothing
// stays behind.
func TestCloseRacesLock(t *testing.T) {
	for range 200 {
		bubble(t, func(t *testing.T) {
			space := mem.NewSpace()
			c, watcher := open(t, mem.New(space), nil), open(t, mem.New(space), nil)
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					if _, err := c.Lock(t.Context(), "k"); err != nil && !errors.Is(err, fencelock.ErrClosed) {
						t.Errorf("Lock: %v", err)
					}
				})
			}
			wg.Go(func() { _ = c.Close() })
			wg.Wait()
			free(t, watcher, "k")
		})
	}
}

func TestCloseIsBoundedWithoutServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c, err := fencelock.New(f, &fencelock.Options{Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 300 {
			lock(t, c, fmt.Sprint("k", i))
		}
		f.onRelease(func(ctx context.Context, _ driver.Grant) error { <-ctx.Done(); return ctx.Err() })
		f.onRenew(hanging)
		time.Sleep(6 * second) // a renewal hangs, too
		began := time.Now()
		if err := c.Close(); err == nil {
			t.Error("Close said nothing of 300 leases that it could not release")
		}
		if took := time.Since(began); took > 12*second {
			t.Errorf("Close took %v", took)
		}
	})
}
