package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// stub grants everything, at no cost: what is measured is the core's own.
type stub struct{ renews, token atomic.Int64 }

func (s *stub) Acquire(_ context.Context, r driver.Request) (driver.Grant, error) {
	return driver.Grant{
		Key: r.Key, AttemptID: r.AttemptID, Token: fencing.Token(s.token.Add(1)), Start: time.Now(), TTL: r.TTL,
	}, nil
}

func (s *stub) Renew(_ context.Context, grants []driver.Grant) []driver.Renewal {
	s.renews.Add(1)
	out := make([]driver.Renewal, len(grants))
	for i := range out {
		out[i] = driver.Renewal{Start: time.Now(), TTL: grants[i].TTL}
	}
	return out
}
func (s *stub) Release(context.Context, driver.Grant) error { return nil }
func (s *stub) Inspect(context.Context, string) (driver.Status, error) {
	return driver.Status{}, nil
}
func (s *stub) Evict(context.Context, string, string) error { return nil }
func (s *stub) ListHeld(context.Context, string, string, int) (driver.Page, error) {
	return driver.Page{}, nil
}

func (s *stub) Info() driver.Info {
	return driver.Info{Name: "stub", MinTTL: time.Millisecond, MaxTTL: time.Hour}
}
func (s *stub) Close() error { return nil }

// Many leases cost no goroutine, about 400 bytes each, and few requests. (bench holds
// 100,000 of them on a real server.)
func TestManyLeasesAreCheap(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const n = 20_000
		s := &stub{}
		c := open(t, s, nil)
		goroutines := runtime.NumGoroutine()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		leases := make([]*fencelock.Lease, n)
		for i := range leases {
			leases[i] = lock(t, c, fmt.Sprintf("orders/%06d", i))
			if i%1000 == 999 {
				time.Sleep(50 * time.Millisecond) // they were not all taken at once
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		each := (after.HeapAlloc - before.HeapAlloc) / n
		t.Logf("%d bytes for each lease", each)
		if each > 480 {
			t.Errorf("%d bytes for each lease, want 400 or so", each)
		}
		s.renews.Store(0)
		time.Sleep(time.Minute) // 12 renewals of each
		if more := runtime.NumGoroutine() - goroutines; more > 4 {
			t.Errorf("%d goroutines for %d leases", more, n)
		}
		if r := s.renews.Load(); r < 12*n/256 || r > 16*n/256 {
			t.Errorf("%d Renew calls in a minute, want about %d", r, 12*n/256)
		}
		for _, l := range leases {
			if l.Err() != nil {
				t.Fatalf("a lease was lost: %v", l.Err())
			}
		}
		runtime.KeepAlive(leases)
	})
}

// A renewal that hangs for the leases with a long TTL keeps no lease with a short
// one from being renewed.
func TestRenewalClassesAreApart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		long, short := lock(t, c, "long"), lock(t, c, "short", fencelock.WithTTL(second))
		f.onRenew(func(ctx context.Context, g []driver.Grant) []driver.Renewal {
			if g[0].TTL > second {
				return hanging(ctx, g)
			}
			return f.Backend.Renew(ctx, g)
		})
		<-long.Done()
		if short.Err() != nil {
			t.Errorf("the short lease was lost with the long one: %v", short.Err())
		}
		unlock(t, short)
		f.onRenew(nil)
		_ = long.Unlock(t.Context())
	})
}

// One lease's loss is not its batch's.
func TestOneLossInABatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		space := mem.NewSpace()
		c, other := open(t, mem.New(space), nil), open(t, mem.New(space), nil)
		var leases []*fencelock.Lease
		for i := range 10 {
			leases = append(leases, lock(t, c, fmt.Sprint("k", i)))
		}
		if _, err := other.Evict(t.Context(), "k4", ""); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		for i, l := range leases {
			if lost := errors.Is(l.Err(), fencelock.ErrLost); lost != (i == 4) {
				t.Errorf("lease %d: %v", i, l.Err())
			}
			_ = l.Unlock(t.Context())
		}
	})
}

// Unlock while the renewal of the same lease is under way: the lock is free, and
// stays so.
func TestUnlockDuringRenewal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		l := lock(t, c, "k")
		renewing := make(chan struct{})
		f.onRenew(func(ctx context.Context, g []driver.Grant) []driver.Renewal {
			close(renewing)
			f.onRenew(nil)
			time.Sleep(second) // on its way to the server
			return f.Backend.Renew(ctx, g)
		})
		<-renewing
		unlock(t, l)
		time.Sleep(2 * second)
		synctest.Wait()
		free(t, c, "k")
		if !errors.Is(l.Err(), fencelock.ErrUnlocked) {
			t.Errorf("Err: %v; a renewal that finds the lock gone after Unlock is no loss", l.Err())
		}
	})
}
