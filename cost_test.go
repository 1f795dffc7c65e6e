package fencelock_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
	"github.com/fencelock/fencelock/fencing"
)

// books is a stub that keeps account of its attempts, as backends do.
type books struct {
	stub

	mu     sync.Mutex
	ledger attempts.Ledger[*entry]
}

type entry struct{ attempts.Attempt }

func (b *books) Acquire(_ context.Context, r driver.Request) (driver.Grant, error) {
	start := time.Now()
	b.mu.Lock()
	a, err := b.ledger.Enter(r, new(entry))
	b.mu.Unlock()
	if err != nil {
		return driver.Grant{}, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.ledger.Leave(a, time.Time{})
	return b.ledger.Grant(a, fencing.Token(b.token.Add(1)), start, r.TTL)
}

func (b *books) Release(_ context.Context, g driver.Grant) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if a, _ := b.ledger.Release(g); a != nil {
		b.ledger.Forget(a)
	}
	return nil
}

// TestFreeLockAllocations: of these seven one is the lease, one the call with its context, one its
// AttemptID, two are Request.Lost and Request.Waiting, one is the context of the release, and one the
// ledger's entry.
func TestFreeLockAllocations(t *testing.T) {
	c := open(t, &books{}, nil)
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() {
		l, err := c.Lock(ctx, "key")
		if err == nil {
			err = l.Unlock(ctx)
		}
		if err != nil {
			t.Error(err)
		}
	}); n > 8 { // the race detector needs one
		t.Errorf("Lock and Unlock have made %v allocations, want 7 or 8", n)
	}
}

// BenchmarkManyCallers is what core and ledger cost where many goroutines lock keys of their own.
func BenchmarkManyCallers(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint(callers), func(b *testing.B) {
			c, err := fencelock.New(&books{}, &fencelock.Options{Logger: quiet()})
			if err != nil {
				b.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			b.ReportAllocs()
			var running sync.WaitGroup
			for i := range callers {
				running.Go(func() {
					key := fmt.Sprintf("bench/%d", i)
					for range b.N / callers {
						l, err := c.Lock(ctx, key)
						if err == nil {
							err = l.Unlock(ctx)
						}
						if err != nil {
							b.Error(err)
						}
					}
				})
			}
			running.Wait()
		})
	}
}

// BenchmarkHeld is the memory of a lease that is held, in core and ledger.
func BenchmarkHeld(b *testing.B) {
	const n = 100_000
	memory := func() int64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc + m.StackInuse)
	}
	for _, ledger := range []bool{false, true} {
		b.Run(fmt.Sprintf("ledger=%v", ledger), func(b *testing.B) {
			for b.Loop() {
				var backend driver.Backend = &stub{}
				if ledger {
					backend = &books{}
				}
				c, err := fencelock.New(backend, &fencelock.Options{Logger: quiet(), TTL: time.Hour})
				if err != nil {
					b.Fatal(err)
				}
				keys, held := make([]string, n), make([]*fencelock.Lease, n)
				for i := range keys {
					keys[i] = fmt.Sprintf("bench/lease/fencelock/%d", i)
				}
				before := memory()
				for i := range keys {
					if held[i], err = c.Lock(context.Background(), keys[i]); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(memory()-before)/n, "B/lease")
				_ = c.Close()
				runtime.KeepAlive(held)
			}
		})
	}
}
