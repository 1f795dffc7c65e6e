package fencelock_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
)

// within calls f with a context that ends after d, by its deadline.
func within(t *testing.T, d time.Duration, f func(context.Context) error) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return f(ctx)
}

// locking is Lock, and Unlock if it succeeds.
func locking(c *fencelock.Client, key string) func(context.Context) error {
	return func(ctx context.Context) error {
		l, err := c.Lock(ctx, key)
		if err == nil {
			err = l.Unlock(context.Background())
		}
		return err
	}
}

// ended requires an error of a context that ended, of one kind and not the other.
func ended(t *testing.T, what string, err, is, isNot error) {
	t.Helper()
	if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, is) || errors.Is(err, isNot) {
		t.Errorf("%s: %v; want the context's error, and %q, and not %q", what, err, is, isNot)
	}
}

// A wait whose context ends says what it was for: a holder, or a server that is silent.
func TestEndOfWaitTellsBusyFromOutage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		space := mem.NewSpace()
		link := drivertest.NewLink(mem.New(space), time.Millisecond)
		c, other := open(t, link, nil), open(t, mem.New(space), nil)
		l := lock(t, other, "k")

		for _, wait := range []time.Duration{20 * time.Millisecond, 2 * second, 40 * second} {
			ended(t, "a busy lock", within(t, wait, locking(c, "k")), fencelock.ErrHeld, fencelock.ErrUnavailable)
		}
		heal := link.Cut()
		for _, wait := range []time.Duration{20 * time.Millisecond, 2 * second} {
			err := within(t, wait, locking(c, "k"))
			ended(t, "a server cut off", err, fencelock.ErrUnavailable, fencelock.ErrHeld)
			ended(t, "TryLock", within(t, wait, func(ctx context.Context) error {
				_, err := c.TryLock(ctx, "k")
				return err
			}), fencelock.ErrUnavailable, fencelock.ErrHeld)
			ended(t, "Inspect", within(t, wait, func(ctx context.Context) error {
				_, err := c.Inspect(ctx, "k")
				return err
			}), fencelock.ErrUnavailable, fencelock.ErrHeld)
			ended(t, "Evict", within(t, wait, func(ctx context.Context) error {
				_, err := c.Evict(ctx, "k", "")
				return err
			}), fencelock.ErrUnavailable, fencelock.ErrUnknown) // nobody was evicted: the look came first
		}
		heal()
		time.Sleep(10 * second)

		// Cut while it waits: what was true lately counts, and for no longer than that.
		for wait, is := range map[time.Duration]error{6 * second: fencelock.ErrHeld, 25 * second: fencelock.ErrUnavailable} {
			heal := make(chan func(), 1)
			time.AfterFunc(4*second, func() { heal <- link.Cut() })
			isNot := fencelock.ErrHeld
			if is == isNot { //nolint:errorlint // of the table
				isNot = fencelock.ErrUnavailable
			}
			ended(t, "cut off after 4 s, ended after "+wait.String(), within(t, wait, locking(c, "k")), is, isNot)
			(<-heal)()
			time.Sleep(10 * second)
		}

		// Whoever cancels with a reason finds it, and a context that was dead before says
		// nothing of the server.
		why := errors.New("the user went away")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(second, func() { cancel(why) })
		if _, err := c.Lock(ctx, "k"); !errors.Is(err, why) || !errors.Is(err, context.Canceled) || !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("cancelled with a cause: %v", err)
		}
		if _, err := c.Lock(ctx, "k"); !errors.Is(err, why) || errors.Is(err, fencelock.ErrHeld) || errors.Is(err, fencelock.ErrUnavailable) {
			t.Errorf("with a dead context: %v", err)
		}
		unlock(t, l)
	})
}

// Those who wait in this process know what the first of them knows.
func TestLocalWaitersInheritWhatWasHeard(t *testing.T) {
	for name, cut := range map[string]bool{"busy": false, "outage": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				space := mem.NewSpace()
				link := drivertest.NewLink(mem.New(space), time.Millisecond)
				c, other := open(t, link, nil), open(t, mem.New(space), nil)
				l := lock(t, other, "k")
				heal := func() {}
				is, isNot := fencelock.ErrHeld, fencelock.ErrUnavailable
				if cut {
					heal = link.Cut()
					is, isNot = isNot, is
				}
				errs := make(chan error, 3)
				for _, wait := range []time.Duration{5 * second, 3 * second, 7 * second} { // the first, one behind it, its heir
					go func() { errs <- within(t, wait, locking(c, "k")) }()
					synctest.Wait()
				}
				for range 3 {
					ended(t, name, <-errs, is, isNot)
				}
				heal()
				unlock(t, l)
			})
		})
	}
}

// A queue in which the lock goes from hand to hand is busy, whoever is just asking. When
// the server falls silent it is not for long.
func TestLocalWaitersOfALockThatMoves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		link := drivertest.NewLink(mem.New(nil), 10*time.Millisecond)
		c := open(t, link, nil)
		stop := make(chan struct{})
		done := make(chan struct{}, 4)
		for range 4 {
			go func() {
				defer func() { done <- struct{}{} }()
				for {
					select {
					case <-stop:
						return
					default:
						unlock(t, lock(t, c, "k"))
					}
				}
			}()
		}
		for d := 50 * time.Millisecond; d < 80*time.Millisecond; d += time.Millisecond {
			if err := within(t, d, locking(c, "k")); err != nil {
				ended(t, "while it moves", err, fencelock.ErrHeld, fencelock.ErrUnavailable)
			}
		}
		heal := link.Cut()
		ended(t, "when the server is cut off", within(t, 2*second, locking(c, "k")), fencelock.ErrUnavailable, fencelock.ErrHeld)
		heal()
		close(stop)
		for range 4 {
			<-done
		}
	})
}

// The server's last error stays reachable, and no time-out of ours looks like the
// caller's.
func TestLastErrorOfTheServerStays(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		for _, x := range []struct {
			err   error
			kind  error
			other error
		}{
			{errors.Join(driver.ErrUnavailable, io.ErrUnexpectedEOF), fencelock.ErrUnavailable, fencelock.ErrRefused},
			{errors.Join(driver.ErrUnavailable, driver.ErrRefused, io.ErrUnexpectedEOF), fencelock.ErrRefused, fencelock.ErrHeld},
			{errors.Join(driver.ErrUnavailable, context.Canceled, io.ErrUnexpectedEOF), fencelock.ErrUnavailable, context.Canceled},
		} {
			f.onAcquire(func(context.Context, driver.Request) (driver.Grant, error) { return driver.Grant{}, x.err })
			err := within(t, 2*second, locking(c, "k"))
			ended(t, "Lock", err, x.kind, x.other)
			if !errors.Is(err, io.ErrUnexpectedEOF) || !errors.Is(err, fencelock.ErrUnavailable) || !strings.Contains(err.Error(), "unexpected EOF") {
				t.Errorf("the server's error is gone: %v", err)
			}
			if e := (*fencelock.Error)(nil); !errors.As(err, &e) || !errors.Is(e.Kind, x.kind) {
				t.Errorf("kind %v of %v, want %v", e.Kind, err, x.kind)
			}
			if n := strings.Count(err.Error(), "unavailable"); n > 1 {
				t.Errorf("says it %d times: %v", n, err)
			}
		}
		// Without a context of the caller's that ended, an error matches none.
		late := errors.Join(driver.ErrUnavailable, context.DeadlineExceeded)
		f.onAcquire(func(context.Context, driver.Request) (driver.Grant, error) { return driver.Grant{}, late })
		if _, err := c.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("TryLock: %v", err)
		}
		f.onAcquire(nil)
	})
}

// A server, or a proxy, that closes connections while they wait is healthy: each call of
// the wait was answered.
func TestAnswersInsideACallCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		space := mem.NewSpace()
		f := newFaulty(space)
		c, other := open(t, f, nil), open(t, mem.New(space), nil)
		l := lock(t, other, "k")
		f.onAcquire(func(ctx context.Context, req driver.Request) (driver.Grant, error) {
			once, cancel := context.WithTimeout(ctx, 6*second)
			defer cancel()
			g, err := f.Backend.Acquire(once, req)
			if err != nil && ctx.Err() == nil {
				err = errors.Join(driver.ErrUnavailable, io.EOF)
			}
			return g, err
		})
		time.AfterFunc(55*second, func() { unlock(t, l) })
		got, err := c.Lock(t.Context(), "k")
		if err != nil {
			t.Fatalf("Lock, over connections that are closed each 6 s: %v", err)
		}
		unlock(t, got)

		// One that hangs up as soon as it has answered is not asked without a pause.
		l = lock(t, other, "k")
		f.acquires.Store(0)
		f.onAcquire(func(_ context.Context, req driver.Request) (driver.Grant, error) {
			req.Waiting()
			return driver.Grant{}, errors.Join(driver.ErrUnavailable, io.EOF)
		})
		ended(t, "hanging up", within(t, 30*second, locking(c, "k")), fencelock.ErrUnavailable, fencelock.ErrHeld)
		if n := f.acquires.Load(); n > 80 {
			t.Errorf("%d requests in 30 s", n)
		}
		f.onAcquire(nil)
		unlock(t, l)
	})
}

// A grant to the goroutine ahead is an answer for those behind it; that the one ahead got
// none in all its time, too.
func TestLocalWaitersHearOfAGrant(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		var silent atomic.Bool
		f.onAcquire(func(ctx context.Context, req driver.Request) (driver.Grant, error) {
			travels := 10 * time.Millisecond
			if silent.Load() {
				travels = time.Hour
			}
			select {
			case <-time.After(travels):
				return f.Backend.Acquire(ctx, req)
			case <-ctx.Done():
				return driver.Grant{}, ctx.Err()
			}
		})
		got := make(chan *fencelock.Lease, 1)
		go func() { got <- lock(t, c, "k") }()
		errs := make(chan error, 3)
		for _, wait := range []time.Duration{15 * time.Millisecond, 3 * second, 3*second + 5*time.Millisecond} {
			synctest.Wait()
			go func() { errs <- within(t, wait, locking(c, "k")) }()
		}
		l := <-got // at 10 ms; the next one asks from now to 15 ms
		synctest.Wait()
		silent.Store(true)
		ended(t, "behind a grant", <-errs, fencelock.ErrHeld, fencelock.ErrUnavailable)
		ended(t, "silence for 3 s", <-errs, fencelock.ErrUnavailable, fencelock.ErrHeld)
		ended(t, "the one behind it, which has hardly asked", <-errs, fencelock.ErrUnavailable, fencelock.ErrHeld)
		silent.Store(false)
		unlock(t, l)
	})
}
