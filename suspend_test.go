package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"go/version"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/internal/suspend/suspendtest"
)

// far is a backend whose server is on another machine.
type far struct{ driver.Backend }

func (f far) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	time.Sleep(10 * time.Microsecond) // until it is on its way
	return f.Backend.Renew(ctx, grants)
}

func (f far) Info() driver.Info {
	i := f.Backend.Info()
	i.SameClock = false
	return i
}

// sleepy makes a client on a machine that the test can suspend. Its leases live for 15 s,
// and are trusted for 13.5 s of them.
func sleepy(t *testing.T, b driver.Backend) (*suspendtest.Machine, *fencelock.Client) {
	t.Helper()
	return sleepyWith(t, b, &fencelock.Options{})
}

func sleepyWith(t *testing.T, b driver.Backend, opts *fencelock.Options) (*suspendtest.Machine, *fencelock.Client) {
	t.Helper()
	m := suspendtest.New(1000 * time.Hour) // as in a time namespace
	opts.Logger = quiet()
	c, err := fencelock.NewWithClock(b, opts, m.Clock())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if alarms, _ := m.Alarms(); alarms != 0 {
			t.Errorf("%d alarms are left", alarms)
		}
	})
	return m, c
}

// wake ends a suspend that took as long as the kernel counts, and tells of it.
func wake(m *suspendtest.Machine, counted time.Duration) {
	time.Sleep(time.Millisecond) // what was read at the very moment counts as read before
	m.Sleep(counted)
	m.Ring()
	synctest.Wait()
	time.Sleep(time.Millisecond)
}

func left(t *testing.T, l *fencelock.Lease, want time.Duration) {
	t.Helper()
	if got := time.Until(l.ValidUntil()); got < want-5*time.Millisecond || got > want+5*time.Millisecond {
		t.Errorf("%v of the lease are left, want %v", got, want)
	}
}

func isLost(t *testing.T, l *fencelock.Lease, ctx context.Context) {
	t.Helper()
	if err := ctx.Err(); !errors.Is(err, context.Canceled) || !errors.Is(context.Cause(ctx), fencelock.ErrLost) {
		t.Errorf("the context's Err is %v, its cause %v", err, context.Cause(ctx))
	}
	if err := l.Err(); !errors.Is(err, fencelock.ErrLost) {
		t.Errorf("Err: %v, want ErrLost", err)
	}
}

// Whoever looks first after a suspend that took the lease finds out, before any timer or
// alarm has run.
func TestSuspendIsSeenAtTheFirstLook(t *testing.T) {
	for name, look := range map[string]func(*fencelock.Lease, context.Context) error{
		"Err":     func(l *fencelock.Lease, _ context.Context) error { return l.Err() },
		"Context": func(_ *fencelock.Lease, ctx context.Context) error { return ctx.Err() },
		"Cause": func(_ *fencelock.Lease, ctx context.Context) error {
			if version.Compare(runtime.Version(), "go1.26") < 0 {
				_ = ctx.Err() // Cause does not ask it there, which Context says
			}
			return context.Cause(ctx)
		},
		"Ensure": func(l *fencelock.Lease, ctx context.Context) error { return l.Ensure(context.WithoutCancel(ctx), 0) },
		"Unlock": func(l *fencelock.Lease, _ context.Context) error { return l.Unlock(context.Background()) },
		"a new context": func(l *fencelock.Lease, _ context.Context) error {
			ctx := l.Context(context.Background())
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			default:
				return errors.New("it is not done")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFaulty(mem.NewSpace())
				m, c := sleepy(t, far{f})
				l := lock(t, c, "k")
				ctx := l.Context(t.Context())
				time.Sleep(time.Second)
				m.Sleep(11 * second) // and the 2 s for the rounding
				err := look(l, ctx)
				if name == "Context" && !errors.Is(err, context.Canceled) || name != "Context" && !errors.Is(err, fencelock.ErrLost) {
					t.Errorf("%s says %v", name, err)
				}
				isLost(t, l, ctx)
				if !strings.Contains(l.Err().Error(), "suspend") {
					t.Errorf("Err does not tell why: %v", l.Err())
				}
				select {
				case <-l.Done():
				default:
					t.Error("Done is open")
				}
				_ = l.Unlock(t.Context())
			})
		})
	}
}

// A suspend that leaves something of the lease shortens it by as much, and 2 s. Done is
// closed then, if nobody looks and no renewal gets an answer.
func TestSuspendShortensLease(t *testing.T) {
	for name, counted := range map[string]time.Duration{
		"long": 5 * second, "counted as next to nothing": 50 * time.Millisecond, "too long": 11500 * time.Millisecond,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFaulty(mem.NewSpace())
				m, c := sleepy(t, far{f})
				f.onRenew(unreachable)
				l := lock(t, c, "k")
				locked := time.Now()
				ctx := l.Context(t.Context())
				time.Sleep(time.Second)
				wake(m, counted)
				<-ctx.Done()
				want := max(13500*time.Millisecond-counted-2*second, time.Second)
				if lived := time.Since(locked); lived < want-5*time.Millisecond || lived > want+5*time.Millisecond {
					t.Errorf("it ended after %v, want %v", lived, want)
				}
				isLost(t, l, ctx)
				_ = l.Unlock(t.Context())
			})
		})
	}
}

// What is less than 10 ms is the scheduler's.
func TestSmallGrowthIsNoSuspend(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, c := sleepy(t, far{newFaulty(mem.NewSpace())})
		l := lock(t, c, "k", fencelock.WithTTL(second))
		m.Sleep(9 * time.Millisecond)
		left(t, l, 900*time.Millisecond)
		unlock(t, l)
	})
}

// ValidUntil tells what is left after a suspend, before any alarm has run.
func TestValidUntilAfterSuspend(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, c := sleepy(t, far{newFaulty(mem.NewSpace())})
		l := lock(t, c, "k")
		time.Sleep(time.Millisecond)
		m.Sleep(3 * second)
		left(t, l, 8500*time.Millisecond)
		unlock(t, l)
	})
}

// A suspend costs nothing that begins after it, however long it was, and whether or not
// somebody held a lock then.
func TestSuspendBeforeTheGrantCostsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		space := mem.NewSpace()
		m, c := sleepy(t, far{newFaulty(space)})
		holder := open(t, mem.New(space), nil)
		wake(m, 1000*time.Hour)
		l := lock(t, c, "k")
		left(t, l, 13500*time.Millisecond)
		unlock(t, l)

		m.Sleep(time.Hour) // nobody looks
		l = lock(t, c, "k")
		left(t, l, 13500*time.Millisecond)
		unlock(t, l)

		// The grant of a long wait begins when the lock is free.
		held := lock(t, holder, "k")
		got := make(chan *fencelock.Lease)
		go func() { got <- lock(t, c, "k") }()
		for range 5 {
			time.Sleep(second)
			wake(m, time.Minute)
		}
		time.Sleep(second)
		unlock(t, held)
		l = <-got
		left(t, l, 13500*time.Millisecond)
		unlock(t, l)
	})
}

// A grant on whose way the machine was suspended is shorter, or is given back.
func TestSuspendOnTheWayOfAGrant(t *testing.T) {
	for counted, attempts := range map[time.Duration]int{3 * second: 1, 12 * second: 2} {
		t.Run(fmt.Sprint(counted), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFaulty(mem.NewSpace())
				m, c := sleepy(t, far{f})
				f.onAcquire(func(ctx context.Context, req driver.Request) (driver.Grant, error) {
					f.onAcquire(nil)
					g, err := f.Backend.Acquire(ctx, req)
					time.Sleep(time.Millisecond)
					m.Sleep(counted) // the reply is there when the machine wakes up
					return g, err
				})
				l := lock(t, c, "k")
				if n := len(f.attempts()); n != attempts {
					t.Errorf("%d attempts, want %d", n, attempts)
				}
				want := 13500 * time.Millisecond
				if attempts == 1 {
					want -= counted + 2*second
				}
				left(t, l, want)
				unlock(t, l)
				synctest.Wait()
				free(t, c, "k")
			})
		})
	}
}

// A backend may go by what the server confirmed before the machine was suspended, for as
// long as a third of a TTL. TryLock is not out of patience by then.
func TestTryLockAfterWakeUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		m, c := sleepy(t, far{f})
		confirmed := time.Now()
		f.onAcquire(func(ctx context.Context, req driver.Request) (driver.Grant, error) {
			g, err := f.Backend.Acquire(ctx, req)
			if time.Since(confirmed) > 4*second {
				confirmed = time.Now()
			}
			g.Start = confirmed
			return g, err
		})
		wake(m, time.Minute)
		l, err := c.TryLock(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		left(t, l, 13500*time.Millisecond)
		if n := f.acquires.Load(); n > 20 {
			t.Errorf("%d requests in 4 s", n)
		}
		unlock(t, l)
		synctest.Wait()
		free(t, c, "k")
	})
}

// A renewal on whose way the machine was suspended counts from its own Start, and is
// repeated soon.
func TestSuspendDuringRenewal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		m, c := sleepy(t, far{f})
		l := lock(t, c, "k")
		f.onRenew(func(ctx context.Context, g []driver.Grant) []driver.Renewal {
			f.onRenew(nil)
			out := f.Backend.Renew(ctx, g)
			wake(m, 3*second)
			return out
		})
		time.Sleep(5*second + 3*time.Millisecond)
		left(t, l, 8500*time.Millisecond)
		time.Sleep(700 * time.Millisecond)
		if l.Err() != nil || f.renews.Load() != 2 {
			t.Errorf("%d renewals; Err %v", f.renews.Load(), l.Err())
		}
		if got := time.Until(l.ValidUntil()); got < 12500*time.Millisecond {
			t.Errorf("%v are left after the renewal", got)
		}
		unlock(t, l)
	})
}

// A lease whose time was over when the answer to its renewal was read is lost, though the
// answer, which was given in time, would have it live on: its end was told to everybody.
func TestRenewalThatComesTooLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		m, c := sleepy(t, far{f})
		l := lock(t, c, "k")
		ctx := l.Context(t.Context())
		f.onRenew(func(ctx context.Context, g []driver.Grant) []driver.Renewal {
			out := f.Backend.Renew(ctx, g)
			m.Sleep(8 * second) // 10 s are lost: of the lease 8.5 s were left, now it would be 3.5 s
			return out
		})
		time.Sleep(5*second + time.Millisecond)
		isLost(t, l, ctx)
		f.onRenew(nil)
		_ = l.Unlock(t.Context())
		synctest.Wait()
		free(t, c, "k")
	})
}

// After a wake-up everything is renewed at once, in batches. So it is after a step of the
// wall clock, which costs no lease anything.
func TestWakeUpRenews(t *testing.T) {
	for name, counted := range map[string]time.Duration{"suspend": 3 * second, "step": 0} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFaulty(mem.NewSpace())
				m, c := sleepy(t, far{f})
				const n = 600
				var leases []*fencelock.Lease
				for i := range n {
					leases = append(leases, lock(t, c, fmt.Sprint("k", i)))
				}
				if counted == 0 {
					leases = append(leases, lock(t, c, "short", fencelock.WithTTL(500*time.Millisecond)))
				}
				time.Sleep(100 * time.Millisecond)
				wake(m, counted)
				if got := f.renewed.Load(); got != int64(len(leases)) {
					t.Errorf("%d leases were renewed, want %d", got, len(leases))
				}
				if got := f.renews.Load(); got > n/256+5 {
					t.Errorf("in %d requests", got)
				}
				for _, l := range leases[:n] {
					left(t, l, 13500*time.Millisecond)
				}
				time.Sleep(4 * second) // before the next renewals of most
				if got := f.renewed.Load(); got > n+40 {
					t.Errorf("%d leases were renewed by then", got)
				}
				for _, l := range leases {
					if l.Err() != nil {
						t.Errorf("%s: %v", l.Key(), l.Err())
					}
					unlock(t, l)
				}
			})
		})
	}
}

// A renewal that is under way when the machine wakes up says nothing of the time after it:
// another follows, also where no time is lost by it.
func TestWakeUpDuringRenewal(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		m, c := sleepy(t, far{f})
		l := lock(t, c, "k")
		f.onRenew(func(ctx context.Context, g []driver.Grant) []driver.Renewal {
			f.onRenew(nil)
			out := f.Backend.Renew(ctx, g)
			wake(m, 0)
			return out
		})
		time.Sleep(6 * second)
		if n := f.renews.Load(); n != 2 {
			t.Errorf("%d renewals, want 2", n)
		}
		unlock(t, l)
	})
}

// A backend that confirms from before the wake-up, or does not answer, is asked again and
// again, but not without a pause.
func TestWakeUpIsNoStorm(t *testing.T) {
	for name, stale := range map[string]bool{"stale": true, "failing": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFaulty(mem.NewSpace())
				m, c := sleepy(t, far{f})
				began := time.Now()
				l := lock(t, c, "k")
				f.onRenew(func(ctx context.Context, g []driver.Grant) []driver.Renewal {
					if !stale {
						return unreachable(ctx, g)
					}
					return []driver.Renewal{{Start: began.Add(time.Microsecond), TTL: g[0].TTL}}
				})
				time.Sleep(time.Millisecond)
				wake(m, second)
				time.Sleep(5 * second)
				if n := f.renews.Load(); n < 5 || n > 20 {
					t.Errorf("%d renewals in 5 s", n)
				}
				unlock(t, l)
			})
		})
	}
}

// Ensure asks the server after a wake-up that has cost nothing: it may be one that the
// kernel has not counted.
func TestEnsureAfterWakeUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		m, c := sleepy(t, far{f})
		l := lock(t, c, "k")
		f.onRenew(unreachable)
		wake(m, 0)
		n := f.renews.Load()
		if err := l.Ensure(t.Context(), second); err != nil || f.renews.Load() != n+1 {
			t.Errorf("Ensure: %v after %d requests", err, f.renews.Load()-n)
		}
		f.onRenew(nil)
		for range 2 { // the second finds that it has been done
			if err := l.Ensure(t.Context(), second); err != nil || f.renews.Load() != n+2 {
				t.Errorf("Ensure: %v after %d requests", err, f.renews.Load()-n)
			}
		}
		unlock(t, l)
	})
}

// A lease whose time was over when Unlock was called is not reported as held until then,
// because its second request finds nothing and the first had no answer.
func TestUnlockAfterSuspend(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		m, c := sleepy(t, far{f})
		l := lock(t, c, "k")
		f.onRelease(func(ctx context.Context, g driver.Grant) error {
			f.onRelease(nil)
			_ = f.Backend.Release(ctx, g)
			return driver.ErrUnavailable
		})
		time.Sleep(second)
		m.Sleep(time.Minute)
		if err := l.Unlock(t.Context()); !errors.Is(err, fencelock.ErrLost) {
			t.Errorf("Unlock: %v, want ErrLost", err)
		}
	})
}

// What counts the TTLs of mem stands still, too.
func TestSameClockNoSuspend(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, c := sleepy(t, mem.New(mem.NewSpace()))
		l := lock(t, c, "k")
		wake(m, time.Hour)
		left(t, l, 13500*time.Millisecond)
		if _, ever := m.Alarms(); ever != 0 {
			t.Errorf("%d alarms were made", ever)
		}
		unlock(t, l)
	})
}

// Suspends cost no memory and no goroutine for each lease.
func TestManyLeasesWakeUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const n = 10_000
		s := &stub{}
		m, c := sleepy(t, far{s})
		goroutines := runtime.NumGoroutine()
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		leases := make([]*fencelock.Lease, n)
		for i := range leases {
			leases[i] = lock(t, c, fmt.Sprintf("orders/%06d", i))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		if each := (after.HeapAlloc - before.HeapAlloc) / n; each > 1200 {
			t.Errorf("%d bytes for each lease, want 1 KiB or so", each)
		}
		time.Sleep(time.Second)
		for i := range 3 {
			s.renews.Store(0)
			wake(m, second)
			if r := s.renews.Load(); r < n/256 || r > n/256+5 {
				t.Errorf("wake-up %d: %d Renew calls, want about %d", i, r, n/256)
			}
			if more := runtime.NumGoroutine() - goroutines; more > 10 {
				t.Errorf("wake-up %d: %d goroutines for %d leases", i, more, n)
			}
		}
		for _, l := range leases {
			if l.Err() != nil {
				t.Fatalf("a lease was lost: %v", l.Err())
			}
		}
		runtime.KeepAlive(leases)
	})
}
