package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
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

// A second Close returns when the first has freed everything: a program that ends then leaves
// nothing behind, whether a signal or its end came first.
func TestLaterCloseWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		space := mem.NewSpace()
		f := newFaulty(space)
		c := open(t, f, nil)
		if _, err := c.Lock(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		f.onRelease(func(ctx context.Context, g driver.Grant) error {
			time.Sleep(second)
			return f.Backend.Release(ctx, g)
		})
		go c.Close()
		synctest.Wait()
		if err := c.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if s, err := mem.New(space).Inspect(t.Context(), "k"); err != nil || s.Held() {
			t.Errorf("after the second Close: %+v, %v", s, err)
		}
	})
}

// Close keeps its 5 s without a server, and tells how many leases that leaves.
func TestCloseIsBoundedWithoutServer(t *testing.T) {
	for ttl, left := range map[time.Duration]string{500 * time.Millisecond: "leases", 15 * second: "300 leases", time.Hour: "300 leases"} {
		bubble(t, func(t *testing.T) {
			f := newFaulty(mem.NewSpace())
			c, err := fencelock.New(f, &fencelock.Options{Logger: quiet(), TTL: ttl})
			if err != nil {
				t.Fatal(err)
			}
			f.onRelease(func(ctx context.Context, _ driver.Grant) error { <-ctx.Done(); return ctx.Err() })
			f.onAcquire(func(ctx context.Context, req driver.Request) (driver.Grant, error) {
				_, _ = f.Backend.Acquire(ctx, req)
				<-ctx.Done()
				return driver.Grant{}, ctx.Err()
			})
			for i := range 20 { // left to the janitor, whose pauses are long with a long TTL
				_ = within(t, time.Millisecond, locking(c, fmt.Sprint("left", i)))
			}
			f.onAcquire(nil)
			time.Sleep(2 * second)
			var last *fencelock.Lease
			for i := range 300 {
				last = lock(t, c, fmt.Sprint("k", i))
			}
			f.onRenew(hanging)
			time.Sleep(ttl*2/5 + 1) // a renewal hangs, too
			began := time.Now()
			if err := c.Close(); err == nil || !strings.Contains(err.Error(), left) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("TTL %v: Close = %v, want %s that it could not release, and no context's error", ttl, err, left)
			}
			if took := time.Since(began); took > 5*second {
				t.Errorf("TTL %v: Close took %v", ttl, took)
			}
			time.Sleep(second) // past the request of a worker's
			began = time.Now()
			if err := last.Unlock(t.Context()); err == nil || time.Since(began) > 0 {
				t.Errorf("TTL %v: Unlock after Close: %v after %v", ttl, err, time.Since(began))
			}
		})
	}
}

// Close keeps its 5 s whatever hangs, though it ought not to: a method of the backend that
// ignores its context, the log, or the observer.
func TestCloseIsBoundedWhateverHangs(t *testing.T) {
	for what, hang := range map[string]func(f *faulty, o *fencelock.Options, stuck chan struct{}){
		"Acquire": func(f *faulty, _ *fencelock.Options, stuck chan struct{}) {
			f.onAcquire(func(ctx context.Context, req driver.Request) (driver.Grant, error) {
				if req.Key == "more" {
					<-stuck
				}
				return f.Backend.Acquire(ctx, req)
			})
		},
		"Renew": func(f *faulty, _ *fencelock.Options, stuck chan struct{}) {
			f.onRenew(func(ctx context.Context, g []driver.Grant) []driver.Renewal { <-stuck; return unreachable(ctx, g) })
		},
		"Release": func(f *faulty, _ *fencelock.Options, stuck chan struct{}) {
			f.onRelease(func(context.Context, driver.Grant) error { <-stuck; return driver.ErrUnavailable })
		},
		"Inspect": func(f *faulty, _ *fencelock.Options, stuck chan struct{}) {
			f.onInspect(func(context.Context, string) (driver.Status, error) {
				<-stuck
				return driver.Status{}, driver.ErrUnavailable
			})
		},
		"Evict": func(f *faulty, _ *fencelock.Options, stuck chan struct{}) {
			f.onEvict(func(context.Context, string) error { <-stuck; return driver.ErrUnavailable })
		},
		"Close": func(f *faulty, _ *fencelock.Options, stuck chan struct{}) {
			f.onClose(func() error { <-stuck; return nil })
		},
		"the observer": func(_ *faulty, o *fencelock.Options, stuck chan struct{}) {
			o.Observer = observerFunc(func(fencelock.Event) { <-stuck })
		},
		"the log": func(f *faulty, o *fencelock.Options, stuck chan struct{}) {
			o.Logger = slog.New(sink{func(slog.Record) { <-stuck }})
			f.onRenew(unreachable)
		},
	} {
		t.Run(what, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFaulty(mem.NewSpace())
				o := &fencelock.Options{Logger: quiet()}
				stuck := make(chan struct{})
				hang(f, o, stuck)
				c, err := fencelock.New(f, o)
				if err != nil {
					t.Fatal(err)
				}
				held := make([]*fencelock.Lease, 100)
				for i := range held {
					held[i] = lock(t, c, fmt.Sprint("k", i))
				}
				for _, f := range []func(){
					func() { _, _ = c.Lock(t.Context(), "more") },
					func() { _, _ = c.Lock(t.Context(), "k1") },
					func() { _, _ = c.Inspect(t.Context(), "k") },
					func() { _, _ = c.Evict(t.Context(), "k", "") },
				} {
					go f()
				}
				time.Sleep(6 * second)
				began := time.Now()
				closed := make(chan error, 1)
				go func() { closed <- c.Close() }()
				err = <-closed
				took := time.Since(began)
				if took > 5*second {
					t.Errorf("Close took %v", took)
				}
				if hopeless := what == "Release" || what == "Close"; (err != nil) != hopeless {
					t.Errorf("Close, while %s hangs: %v", what, err)
				}
				for _, l := range held {
					if !errors.Is(l.Err(), fencelock.ErrUnlocked) {
						t.Fatalf("a lease after Close: %v", l.Err())
					}
				}
				close(stuck)
			})
		})
	}
}

// lossCounter counts the losses that an observer is told of.
type lossCounter struct{ losses int }

func (c *lossCounter) Observe(_ context.Context, e fencelock.Event) {
	if e.Kind == fencelock.EventLost {
		c.losses++
	}
}

// A program that ends because its lease is lost, and so closes its client at once, leaves with
// the loss in its log. The moment that matters is short: without the wait in Close one in 1,000
// was missing.
func TestLossIsToldBeforeCloseReturns(t *testing.T) {
	const programs = 10_000
	var told int
	for range programs {
		count := new(lossCounter)
		c, err := fencelock.New(mem.New(nil), &fencelock.Options{Observer: count, Logger: quiet()})
		if err != nil {
			t.Fatal(err)
		}
		l := lock(t, c, "k")
		if _, err := c.Evict(t.Context(), "k", ""); err != nil {
			t.Fatal(err)
		}
		<-l.Done()
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		told += count.losses
	}
	if told != programs {
		t.Errorf("%d of %d losses were told before Close returned", told, programs)
	}
}
