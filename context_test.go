package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
)

type ctxKey struct{}

// What is derived from a lease's context is entered in it, as in one of package context: it
// costs no goroutine, ends with the lease, and tells the cause.
func TestDerivedContexts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := open(t, mem.New(mem.NewSpace()), nil)
		l := lock(t, c, "k")
		ctx := l.Context(t.Context())
		goroutines := runtime.NumGoroutine()
		var derived []context.Context
		for range 1000 {
			child, cancel := context.WithCancel(ctx)
			defer cancel()
			timed, cancel := context.WithTimeout(context.WithValue(child, ctxKey{}, 0), time.Hour)
			defer cancel()
			derived = append(derived, child, timed, l.Context(child))
		}
		called := false
		context.AfterFunc(ctx, func() { called = true })
		if more := runtime.NumGoroutine() - goroutines; more > 10 { // the runtime may have some of its own
			t.Errorf("%d goroutines for %d contexts", more, len(derived))
		}
		unlock(t, l)
		for _, d := range derived {
			if !errors.Is(d.Err(), context.Canceled) || !errors.Is(context.Cause(d), fencelock.ErrUnlocked) {
				t.Fatalf("after Unlock: %v, cause %v", d.Err(), context.Cause(d))
			}
		}
		synctest.Wait()
		if !called {
			t.Error("AfterFunc was not called")
		}
	})
}

// A context of two leases ends with either.
func TestContextOfTwoLeases(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := open(t, mem.New(mem.NewSpace()), nil)
		a, b := lock(t, c, "a"), lock(t, c, "b")
		both := b.Context(a.Context(t.Context()))
		if both.Err() != nil {
			t.Errorf("Err while both are held: %v", both.Err())
		}
		unlock(t, a)
		if both.Err() == nil || !errors.Is(context.Cause(both), fencelock.ErrUnlocked) || b.Err() != nil {
			t.Errorf("after the first's end: %v, cause %v; the other: %v", both.Err(), context.Cause(both), b.Err())
		}
		unlock(t, b)
	})
}

// A context is printed as others are, and not with all that hangs on it.
func TestContextString(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := open(t, mem.New(mem.NewSpace()), nil)
		l := lock(t, c, "orders/1")
		child, cancel := context.WithCancel(l.Context(context.Background()))
		defer cancel()
		for _, s := range []string{fmt.Sprint(child), fmt.Sprintf("%+v", l.Context(context.Background()))} {
			if !strings.HasPrefix(s, "context.Background") || !strings.Contains(s, "orders/1") || len(s) > 100 {
				t.Errorf("printed as %s", s)
			}
		}
		unlock(t, l)
	})
}

// Err asks nobody: an observer that does not return keeps no one from learning of the loss,
// nor one that asks a context itself, while somebody who asks holds what it needs.
func TestErrDoesNotWaitForTheObserver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		told := 0
		m, c := sleepyWith(t, far{newFaulty(mem.NewSpace())}, &fencelock.Options{Observer: observerFunc(func(e fencelock.Event) {
			if e.Kind == fencelock.EventLost {
				mu.Lock()
				defer mu.Unlock()
				told++
			}
		})})
		a, b := lock(t, c, "a"), lock(t, c, "b")
		ctx := b.Context(t.Context())
		time.Sleep(time.Millisecond)
		m.Sleep(time.Minute)
		mu.Lock()
		if !errors.Is(a.Err(), fencelock.ErrLost) || ctx.Err() == nil || told != 0 {
			t.Errorf("Err: %v; the context's: %v", a.Err(), ctx.Err())
		}
		mu.Unlock()
		synctest.Wait()
		if told != 2 {
			t.Errorf("%d losses were told, want 2", told)
		}
		_, _ = a.Unlock(t.Context()), b.Unlock(t.Context())
	})
}

type observerFunc func(fencelock.Event)

func (f observerFunc) Observe(_ context.Context, e fencelock.Event) { f(e) }

// Everybody at once: those who ask, who make contexts, who derive from them, and who ends
// the lease. Whoever has seen the end sees it for good.
func TestContextRaces(t *testing.T) {
	c := open(t, mem.New(mem.NewSpace()), nil)
	for range 30 {
		l := lock(t, c, "k")
		ctx := l.Context(context.Background())
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				for ctx.Err() == nil {
					own, cancel := context.WithCancel(l.Context(ctx))
					_ = own.Err()
					cancel()
				}
				if l.Err() == nil || context.Cause(ctx) == nil || l.Context(ctx).Err() == nil {
					t.Error("the lease is held again")
				}
			})
		}
		all.Go(func() { unlock(t, l) })
		all.Wait()
	}
}

// A server may grant while the caller's time runs out, and the answer may be read after
// that: the outcome is not known to anybody here, and the lock is freed by the attempt's name.
func TestGrantBehindATimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		f.onAcquire(func(ctx context.Context, req driver.Request) (driver.Grant, error) {
			_, _ = f.Backend.Acquire(ctx, req)
			<-ctx.Done()
			return driver.Grant{}, fmt.Errorf("%w: i/o timeout", driver.ErrUnavailable)
		})
		for _, acquire := range []func(context.Context, string, ...fencelock.LockOption) (*fencelock.Lease, error){c.Lock, c.TryLock} {
			ctx, cancel := context.WithTimeout(t.Context(), second)
			if _, err := acquire(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want context.DeadlineExceeded", err)
			}
			cancel()
			synctest.Wait()
			free(t, c, "k")
		}
	})
}

// A lease travels in its own context, in those that are derived from it, and in any by NewContext.
func TestLeaseTravels(t *testing.T) {
	c := open(t, mem.New(mem.NewSpace()), nil)
	a, b := lock(t, c, "a"), lock(t, c, "b")
	type key struct{}
	outer := a.Context(context.WithValue(t.Context(), key{}, 7))
	derived, cancel := context.WithCancel(outer)
	defer cancel()
	for what, x := range map[string]struct {
		ctx  context.Context
		want *fencelock.Lease
	}{
		"nil":                    {nil, nil},
		"background":             {context.Background(), nil},
		"NewContext":             {fencelock.NewContext(t.Context(), a), a},
		"NewContext with no one": {fencelock.NewContext(t.Context(), nil), nil},
		"Context":                {outer, a},
		"derived":                {derived, a},
		"the inner of two":       {b.Context(derived), b},
		"the other way round":    {fencelock.NewContext(b.Context(derived), a), a},
	} {
		if got, ok := fencelock.FromContext(x.ctx); got != x.want || ok != (x.want != nil) {
			t.Errorf("%s: %v, %v", what, got, ok)
		}
	}
	if outer.Value(key{}) != 7 {
		t.Error("the parent's values are gone")
	}
	unlock(t, a)
	if l, ok := fencelock.FromContext(derived); !ok || !errors.Is(l.Err(), fencelock.ErrUnlocked) || derived.Err() == nil {
		t.Errorf("after Unlock: %v", derived.Err())
	}
	unlock(t, b)
}
