package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
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
		if err := l.Unlock(ctx); !errors.Is(err, fencelock.ErrUnknown) || errors.Is(err, fencelock.ErrUnavailable) {
			t.Errorf("Unlock: %v, want ErrUnknown, and not ErrUnavailable, which says that nothing was done", err)
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
		if err := f.Backend.Release(t.Context(), driver.Grant{Key: "k", AttemptID: s.Holders[0].AttemptID}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := l.Unlock(t.Context()); !errors.Is(err, fencelock.ErrLost) {
				t.Errorf("Unlock: %v, want ErrLost", err)
			}
		}
	})
}

// errRefusing is what a server says that will say the same each time, and errPassing what one
// says that may not.
var (
	errNoPermission = errors.New("NOPERM")
	errRefusing     = fmt.Errorf("%w: %w", driver.ErrRefused, errNoPermission)
	errPassing      = fmt.Errorf("%w: %w: OOM", driver.ErrUnavailable, driver.ErrRefused)
	errBroken       = errors.New("the script ended half way")
)

// Unlock again after "outcome unknown", as its documentation allows: whichever request
// freed the lock, the first Unlock's or the janitor's, it was never lost.
func TestUnlockAgainAfterUnknown(t *testing.T) {
	for name, carriedOut := range map[string]bool{"carried out": true, "by the janitor": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFaulty(mem.NewSpace())
				c := open(t, f, nil)
				l := lock(t, c, "k")
				f.onRelease(func(ctx context.Context, g driver.Grant) error {
					if carriedOut {
						_ = f.Backend.Release(ctx, g)
					}
					<-ctx.Done()
					return ctx.Err()
				})
				err := within(t, second/2, l.Unlock)
				if !errors.Is(err, fencelock.ErrUnknown) || errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Unlock: %v, want ErrUnknown, and not the error of a context of our own", err)
				}
				f.onRelease(nil)
				time.Sleep(4 * second)
				free(t, c, "k")
				for range 2 {
					if err := l.Unlock(t.Context()); err != nil {
						t.Errorf("Unlock again: %v", err)
					}
				}
			})
		})
	}
}

// What the server refuses for good is said at once, asked for by nobody again, and never
// turns into success; the log hears of it, once.
func TestUnlockRefusedForGood(t *testing.T) {
	for name, x := range map[string]struct{ says, kind error }{
		"refused": {errRefusing, fencelock.ErrRefused},
		"broken":  {errBroken, fencelock.ErrUnknown},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFaulty(mem.NewSpace())
				lines := 0
				c := open(t, f, &fencelock.Options{Logger: slog.New(sink{func(slog.Record) { lines++ }})})
				f.onRelease(func(context.Context, driver.Grant) error { return x.says })
				began := time.Now()
				var first *fencelock.Lease
				for i := range 20 {
					l := lock(t, c, fmt.Sprint("k", i))
					err := l.Unlock(t.Context())
					if !errors.Is(err, x.kind) || !errors.Is(err, x.says) || errors.Is(err, fencelock.ErrUnavailable) {
						t.Fatalf("Unlock: %v, want %v", err, x.kind)
					}
					if first == nil {
						first = l
					}
				}
				if took := time.Since(began); took > 0 {
					t.Errorf("that took %v", took)
				}
				time.Sleep(10 * second)
				if n := f.releases.Load(); n != 20 {
					t.Errorf("%d releases were sent, want 20", n)
				}
				if synctest.Wait(); lines != 1 {
					t.Errorf("%d lines in the log, want 1", lines)
				}
				time.Sleep(time.Minute) // the leases have ended on the server
				f.onRelease(nil)
				if err := first.Unlock(t.Context()); errors.Is(x.kind, fencelock.ErrRefused) && !errors.Is(err, fencelock.ErrRefused) {
					t.Errorf("Unlock when the TTL has passed: %v; that was no success, and no loss", err)
				}
			})
		})
	}
}

// What the janitor is refused for good it does not ask again; a refusal that passes it
// outlasts.
func TestJanitorIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		lines := 0
		c := open(t, f, &fencelock.Options{Logger: slog.New(sink{func(slog.Record) { lines++ }})})
		f.onAcquire(func(context.Context, driver.Request) (driver.Grant, error) { return driver.Grant{}, errRefusing })
		f.onRelease(func(context.Context, driver.Grant) error { return errRefusing })
		for range 50 {
			if _, err := c.Lock(t.Context(), "k"); !errors.Is(err, fencelock.ErrRefused) || errors.Is(err, fencelock.ErrUnavailable) {
				t.Errorf("Lock: %v", err)
			}
		}
		time.Sleep(30 * second)
		synctest.Wait()
		if n := f.releases.Load(); n != 50 || lines != 0 {
			t.Errorf("%d releases for 50 attempts that were refused, and %d lines in the log; nothing is there to be released", n, lines)
		}
		f.onAcquire(func(context.Context, driver.Request) (driver.Grant, error) { return driver.Grant{}, errBroken })
		for range 50 {
			if _, err := c.Lock(t.Context(), "k"); !errors.Is(err, errBroken) {
				t.Errorf("Lock: %v", err)
			}
		}
		time.Sleep(30 * second)
		synctest.Wait()
		if n := f.releases.Load(); n != 100 || lines != 1 {
			t.Errorf("%d releases for 100 attempts, and %d lines in the log", n, lines)
		}
		f.onAcquire(func(ctx context.Context, req driver.Request) (driver.Grant, error) {
			_, _ = f.Backend.Acquire(ctx, req)
			return driver.Grant{}, errBroken
		})
		f.onRelease(func(context.Context, driver.Grant) error { return errPassing })
		if _, err := c.Lock(t.Context(), "k"); !errors.Is(err, errBroken) {
			t.Errorf("Lock: %v", err)
		}
		time.Sleep(5 * second)
		f.onRelease(nil)
		time.Sleep(second)
		free(t, c, "k")
		f.onAcquire(nil)
	})
}

// A TryLock that is refused for now leaves nothing for Close to wait for; a waiter whose
// place was confirmed before does.
func TestNothingIsLeftOfARefusal(t *testing.T) {
	for name, placed := range map[string]bool{"never placed": false, "placed before": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFaulty(mem.NewSpace())
				c := open(t, f, nil)
				f.onAcquire(func(_ context.Context, req driver.Request) (driver.Grant, error) {
					if placed {
						req.Waiting()
					}
					return driver.Grant{}, errPassing
				})
				f.onRelease(func(context.Context, driver.Grant) error { return errPassing })
				lockIt := c.TryLock
				if placed {
					lockIt = c.Lock
				}
				ctx, cancel := context.WithTimeout(t.Context(), second)
				defer cancel()
				if _, err := lockIt(ctx, "k"); !errors.Is(err, fencelock.ErrRefused) || !errors.Is(err, fencelock.ErrUnavailable) {
					t.Errorf("%v", err)
				}
				if again := f.releases.Load(); again > 1 {
					t.Errorf("%d releases", again)
				}
				time.Sleep(2 * second)
				if n := f.releases.Load(); n > 1 != placed {
					t.Errorf("%d releases, when all are refused", n)
				}
				f.onAcquire(nil)
				f.onRelease(nil)
			})
		})
	}
}

// A refusal that passes is retried, and says what it is when the context ends first. It
// has done nothing: so it does not explain that the lock is gone.
func TestUnlockRefusedForNow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		refuse := func(n int) {
			f.onRelease(func(ctx context.Context, g driver.Grant) error {
				if n--; n >= 0 {
					return errPassing
				}
				return f.Backend.Release(ctx, g)
			})
		}
		refuse(3)
		unlock(t, lock(t, c, "k"))

		refuse(1000)
		l := lock(t, c, "k")
		if err := within(t, second, l.Unlock); !errors.Is(err, fencelock.ErrRefused) || !errors.Is(err, fencelock.ErrUnavailable) || errors.Is(err, fencelock.ErrUnknown) {
			t.Errorf("Unlock: %v, want ErrRefused and ErrUnavailable", err)
		}
		f.onRelease(nil)
		time.Sleep(2 * second)
		free(t, c, "k") // the janitor has asked again
		unlock(t, l)

		l = lock(t, c, "k")
		s, _ := c.Inspect(t.Context(), "k")
		if err := f.Backend.Release(t.Context(), driver.Grant{Key: "k", AttemptID: s.Holders[0].AttemptID}); err != nil { // evicted, untold
			t.Fatal(err)
		}
		refuse(2)
		if err := l.Unlock(t.Context()); !errors.Is(err, fencelock.ErrLost) {
			t.Errorf("Unlock: %v; two refusals do not explain that the lock is gone", err)
		}
		f.onRelease(nil)
	})
}

// Evict tells a refusal from silence.
func TestEvictRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		defer unlock(t, lock(t, c, "k"))
		for _, x := range []struct {
			says, kind error
			again      bool // asking again may help, as ErrUnavailable says beside ErrRefused
		}{
			{errRefusing, fencelock.ErrRefused, false},
			{errPassing, fencelock.ErrRefused, true},
			{driver.ErrUnavailable, fencelock.ErrUnknown, false},
			{errBroken, fencelock.ErrUnknown, false},
			{driver.ErrNotHeld, fencelock.ErrNotHeld, false},
		} {
			f.onEvict(func(context.Context, string) error { return x.says })
			_, err := c.Evict(t.Context(), "k", "")
			if e := (*fencelock.Error)(nil); !errors.As(err, &e) || !errors.Is(e.Kind, x.kind) || errors.Is(err, fencelock.ErrUnavailable) != x.again {
				t.Errorf("Evict where the server says %v: %v", x.says, err)
			}
		}
	})
}
