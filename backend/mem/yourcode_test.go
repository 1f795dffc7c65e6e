package mem_test

// docs/testing-your-code.md shows all of this.

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// newLocker makes a client, as each process has one. Its log is the test's.
func newLocker(t *testing.T, b driver.Backend) *fencelock.Client {
	t.Helper()
	locker, err := fencelock.New(b, &fencelock.Options{
		TTL:    15 * time.Second,
		Logger: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { locker.Close() })
	return locker
}

func TestChargeOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		space, ledger := mem.NewSpace(), new(Ledger)
		var payments atomic.Int64
		pay := func(context.Context, string) error {
			payments.Add(1)
			time.Sleep(time.Minute) // virtual: four times as long as a TTL, and renewed meanwhile
			return nil
		}
		results := make(chan error)
		for range 3 { // three processes
			biller := &Biller{newLocker(t, mem.New(space)), ledger, pay}
			go func() { results <- biller.Charge(t.Context(), "42") }()
		}
		for range 3 {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if n := payments.Load(); n != 1 {
			t.Errorf("%d payments", n)
		}
	})
}

func TestChargeWhileAnotherDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		space := mem.NewSpace()
		if _, err := newLocker(t, mem.New(space)).Lock(t.Context(), "invoices/42"); err != nil {
			t.Fatal(err)
		}

		biller := &Biller{newLocker(t, mem.New(space)), new(Ledger), nil}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := biller.Charge(ctx, "42"); !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("%v, want ErrHeld", err)
		}
	})
}

func TestChargeStopsWhenItsLockIsTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		space, ledger := mem.NewSpace(), new(Ledger)
		pay := func(ctx context.Context, invoice string) error {
			operator := newLocker(t, mem.New(space))
			if _, err := operator.Evict(ctx, "invoices/"+invoice, ""); err != nil {
				return err
			}
			<-ctx.Done() // what a request does that is given ctx
			return context.Cause(ctx)
		}
		biller := &Biller{newLocker(t, mem.New(space)), ledger, pay}
		if err := biller.Charge(t.Context(), "42"); !errors.Is(err, fencelock.ErrLost) {
			t.Errorf("%v, want ErrLost", err)
		}
		if ledger.Charged("42") {
			t.Error("recorded, without the lock")
		}
	})
}

func TestChargeInAnOutage(t *testing.T) {
	for outage, want := range map[time.Duration]error{
		5 * time.Second: nil,               // less than half a TTL
		time.Minute:     fencelock.ErrLost, // the lease ends first
	} {
		t.Run(outage.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				space := mem.NewSpace()
				process := mem.New(space)
				pay := func(ctx context.Context, _ string) error {
					heal := space.Inject(mem.Fault{Kind: mem.Silent, Client: process})
					defer heal()
					select {
					case <-time.After(outage):
						return nil
					case <-ctx.Done():
						return context.Cause(ctx)
					}
				}
				biller := &Biller{newLocker(t, process), new(Ledger), pay}
				if err := biller.Charge(t.Context(), "42"); !errors.Is(err, want) {
					t.Errorf("%v, want %v", err, want)
				}
			})
		})
	}
}

func TestLateRecordIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		space, ledger := mem.NewSpace(), new(Ledger)
		process := mem.New(space)
		sleepy := &Biller{newLocker(t, process), ledger, func(context.Context, string) error {
			heal := space.Inject(mem.Fault{Kind: mem.Silent, Client: process})
			defer heal()
			time.Sleep(time.Minute) // as a process that is paused: it does not look at its context
			return nil
		}}
		quick := &Biller{newLocker(t, mem.New(space)), ledger, func(context.Context, string) error { return nil }}

		late := make(chan error)
		go func() { late <- sleepy.Charge(t.Context(), "42") }()
		synctest.Wait() // until it sleeps
		if err := quick.Charge(t.Context(), "42"); err != nil {
			t.Error(err) // it has waited for the end of the other's lease
		}
		err := <-late
		if !errors.Is(err, fencing.ErrStale) || !errors.Is(err, fencelock.ErrLost) {
			t.Errorf("%v, want ErrStale from the ledger and ErrLost from the lock", err)
		}
	})
}

func TestChargeIsRefused(t *testing.T) {
	space, ledger := mem.NewSpace(), new(Ledger)
	pay := func(context.Context, string) error {
		t.Error("paid without the lock")
		return nil
	}
	biller := &Biller{newLocker(t, mem.New(space)), ledger, pay}
	heal := space.Inject(mem.Fault{Kind: mem.Refused, Ops: mem.OpAcquire, Key: "invoices/42"})
	defer heal()
	if err := biller.Charge(t.Context(), "42"); !errors.Is(err, fencelock.ErrRefused) {
		t.Errorf("%v, want ErrRefused", err)
	}
}

func TestChargeWhenTheServerForgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		space, ledger := mem.NewSpace(), new(Ledger)
		quick := &Biller{newLocker(t, mem.New(space)), ledger, func(context.Context, string) error { return nil }}
		pay := func(ctx context.Context, invoice string) error {
			space.Forget("invoices/" + invoice) // it has restarted, say, without its data
			return quick.Charge(ctx, invoice)   // another charges meanwhile
		}
		biller := &Biller{newLocker(t, mem.New(space)), ledger, pay}
		if err := biller.Charge(t.Context(), "42"); !errors.Is(err, fencing.ErrStale) {
			t.Errorf("%v, want ErrStale from the ledger", err)
		}
	})
}

func TestJobRunsOnceAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		space, runs := mem.NewSpace(), 0
		scheduler := func(locker *fencelock.Client) error {
			lease, err := locker.TryLock(t.Context(), "jobs/hourly", fencelock.WithMinHold(time.Minute))
			if err != nil {
				return err
			}
			runs++ // the job takes no time
			return lease.Unlock(t.Context())
		}
		first, second := newLocker(t, mem.New(space)), newLocker(t, mem.New(space))
		if err := scheduler(first); err != nil {
			t.Error(err)
		}
		time.Sleep(30 * time.Second) // by so much its clock is late
		if err := scheduler(second); !errors.Is(err, fencelock.ErrHeld) || runs != 1 {
			t.Errorf("%v after %d runs, want ErrHeld after one", err, runs)
		}
		time.Sleep(time.Hour)
		if err := scheduler(second); err != nil || runs != 2 {
			t.Errorf("%v after %d runs, an hour later", err, runs)
		}
	})
}

func TestJobThatHangsIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		err := fencelock.Do(t.Context(), newLocker(t, mem.New(nil)), "jobs/hourly", func(ctx context.Context, _ *fencelock.Lease) error {
			<-ctx.Done() // it hangs, but looks at its context
			return context.Cause(ctx)
		}, fencelock.WithMaxHold(10*time.Minute))
		if took := time.Since(began); !errors.Is(err, fencelock.ErrMaxHold) || took != 10*time.Minute {
			t.Errorf("%v after %v, want ErrMaxHold after 10 minutes", err, took)
		}
	})
}
