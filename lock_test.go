package fencelock_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

func TestLockUnlock(t *testing.T) {
	bubble(t, func(t *testing.T) {
		space := mem.NewSpace()
		a, b := open(t, mem.New(space), nil), open(t, mem.New(space), nil)

		first := lock(t, a, "k")
		if first.Key() != "k" || first.Token() == 0 || first.Err() != nil {
			t.Errorf("lease: key %q, token %v, err %v", first.Key(), first.Token(), first.Err())
		}
		if _, err := b.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("TryLock of a held key: %v, want ErrHeld", err)
		}
		if _, err := a.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("TryLock by the same client: %v, want ErrHeld: locks are not reentrant", err)
		}
		other := lock(t, b, "other")
		unlock(t, other)

		got := make(chan *fencelock.Lease)
		go func() { got <- lock(t, b, "k") }()
		synctest.Wait()
		select {
		case <-got:
			t.Fatal("Lock returned while another held the key")
		default:
		}
		unlock(t, first)
		second := <-got
		if second.Token() <= first.Token() {
			t.Errorf("token %v after %v", second.Token(), first.Token())
		}
		if err := first.Err(); !errors.Is(err, fencelock.ErrUnlocked) || errors.Is(err, fencelock.ErrLost) {
			t.Errorf("Err after Unlock: %v, want ErrUnlocked", err)
		}
		unlock(t, first) // idempotent, and no harm to the new holder
		if err := second.Err(); err != nil {
			t.Errorf("Err of the holder: %v", err)
		}
		unlock(t, second)
		free(t, a, "k")
	})
}

func TestRenewalKeepsLease(t *testing.T) {
	bubble(t, func(t *testing.T) {
		space := mem.NewSpace()
		f := newFaulty(space)
		a, b := open(t, f, nil), open(t, mem.New(space), nil)
		l := lock(t, a, "k")
		time.Sleep(10 * time.Minute)
		if l.Err() != nil {
			t.Errorf("Err after 10 minutes: %v", l.Err())
		}
		if _, err := b.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("TryLock after 10 minutes: %v, want ErrHeld", err)
		}
		if n := f.renews.Load(); n < 110 || n > 130 {
			t.Errorf("%d renewals in 10 minutes with a TTL of 15 s, want 120 or so", n)
		}
		unlock(t, l)
		n := f.renews.Load()
		time.Sleep(time.Minute)
		if f.renews.Load() != n {
			t.Errorf("renewals went on after Unlock")
		}
	})
}

func TestWithTTL(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		l := lock(t, c, "k", fencelock.WithTTL(3*second+1))
		if ttl := f.requests[0].TTL; ttl != 3001*time.Millisecond {
			t.Errorf("TTL %v reached the backend, want 3.001s", ttl)
		}
		if left := time.Until(l.ValidUntil()); left > 2701*time.Millisecond || left < 2700*time.Millisecond {
			t.Errorf("trusted for %v, want nine tenths of 3.001s", left)
		}
		for _, ttl := range []time.Duration{0, -second, 1, 25 * time.Hour} {
			_, err := c.Lock(t.Context(), "other", fencelock.WithTTL(ttl))
			if !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), "WithTTL") {
				t.Errorf("WithTTL(%v): %v, want ErrInvalid that names WithTTL", ttl, err)
			}
		}
		if f.acquires.Load() != 1 {
			t.Error("a bad TTL reached the backend")
		}
	})
}

func TestBadKeys(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		c := open(t, f, nil)
		for name, key := range map[string]string{
			"empty": "", "long": strings.Repeat("x", driver.MaxKeyLen+1), "not UTF-8": "a\xffb",
		} {
			_, lockErr := c.Lock(t.Context(), key)
			_, tryErr := c.TryLock(t.Context(), key)
			_, inspectErr := c.Inspect(t.Context(), key)
			_, evictErr := c.Evict(t.Context(), key, "")
			for _, err := range []error{lockErr, tryErr, inspectErr, evictErr} {
				if !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), "key") {
					t.Errorf("%s: %v, want ErrInvalid that names the key", name, err)
				}
			}
		}
		if f.acquires.Load() != 0 {
			t.Error("a bad key reached the backend")
		}
		unlock(t, lock(t, c, strings.Repeat("x", driver.MaxKeyLen)))
	})
}

func TestDo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		space := mem.NewSpace()
		c := open(t, mem.New(space), nil)
		boom := errors.New("boom")

		var token fencing.Token
		err := fencelock.Do(t.Context(), c, "k", func(ctx context.Context, l *fencelock.Lease) error {
			token = l.Token()
			if ctx.Err() != nil {
				t.Error("fn began with a dead context")
			}
			return boom
		})
		if !errors.Is(err, boom) || token == 0 {
			t.Errorf("Do = %v with token %v, want fn's error", err, token)
		}
		free(t, c, "k")

		func() {
			defer func() {
				if recover() != "bang" {
					t.Error("the panic was lost")
				}
			}()
			_ = fencelock.Do(t.Context(), c, "k", func(context.Context, *fencelock.Lease) error { panic("bang") })
		}()
		free(t, c, "k")

		// A loss that fn did not notice is reported by Do.
		err = fencelock.Do(t.Context(), c, "k", func(ctx context.Context, _ *fencelock.Lease) error {
			if _, err := c.Evict(t.Context(), "k", ""); err != nil {
				t.Errorf("Evict: %v", err)
			}
			<-ctx.Done()
			if cause := context.Cause(ctx); !errors.Is(cause, fencelock.ErrLost) {
				t.Errorf("cause %v, want ErrLost", cause)
			}
			return nil
		})
		if !errors.Is(err, fencelock.ErrLost) {
			t.Errorf("Do = %v, want ErrLost", err)
		}
		called := false
		err = fencelock.Do(dead(), c, "k", func(context.Context, *fencelock.Lease) error { called = true; return nil })
		if !errors.Is(err, context.Canceled) || called {
			t.Errorf("Do with a dead context = %v, fn called: %v", err, called)
		}
	})
}

func TestLeaseContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type ctxKey struct{}
		c := open(t, mem.New(mem.NewSpace()), nil)
		l := lock(t, c, "k")
		parent, cancelParent := context.WithCancel(context.WithValue(t.Context(), ctxKey{}, "v"))
		early, stays := l.Context(parent), l.Context(t.Context())
		if early.Value(ctxKey{}) != "v" {
			t.Error("the parent's values are lost")
		}
		cancelParent()
		<-early.Done()
		if cause := context.Cause(early); !errors.Is(cause, context.Canceled) {
			t.Errorf("cause after the parent's end: %v", cause)
		}
		if stays.Err() != nil {
			t.Error("one parent's end touched another context")
		}
		unlock(t, l)
		// Cancelled before Unlock sends its request, so before it returns.
		if stays.Err() == nil || !errors.Is(context.Cause(stays), fencelock.ErrUnlocked) {
			t.Errorf("after Unlock: %v, cause %v", stays.Err(), context.Cause(stays))
		}
		if late := l.Context(t.Context()); !errors.Is(context.Cause(late), fencelock.ErrUnlocked) {
			t.Errorf("a context made after Unlock: cause %v", context.Cause(late))
		}
		select {
		case <-l.Done():
		default:
			t.Error("Done is open after Unlock")
		}
	})
}

func TestInspectAndEvict(t *testing.T) {
	bubble(t, func(t *testing.T) {
		space := mem.NewSpace()
		a := open(t, mem.New(space), &fencelock.Options{Identity: "worker 7"})
		b := open(t, mem.New(space), nil)
		free(t, b, "k")
		if _, err := b.Evict(t.Context(), "k", ""); !errors.Is(err, fencelock.ErrNotHeld) {
			t.Errorf("Evict of a free lock: %v, want ErrNotHeld", err)
		}
		l := lock(t, a, "k")
		s, err := b.Inspect(t.Context(), "k")
		if err != nil || !s.Held() || s.Holders[0].Identity != "worker 7" || s.Holders[0].Token != l.Token() || s.Holders[0].Left <= 0 || s.Holders[0].Left > 15*second {
			t.Errorf("Inspect = %+v, %v", s, err)
		}
		if _, err := b.Evict(t.Context(), "k", ""); err != nil {
			t.Fatalf("Evict: %v", err)
		}
		<-l.Done()
		if !errors.Is(l.Err(), fencelock.ErrLost) {
			t.Errorf("Err after eviction: %v, want ErrLost", l.Err())
		}
		if err := l.Unlock(t.Context()); !errors.Is(err, fencelock.ErrLost) {
			t.Errorf("Unlock after eviction: %v, want ErrLost", err)
		}
		synctest.Wait()
		free(t, b, "k")
	})
}

// A thousand goroutines of one process cost the server one waiter, and are served
// in the order of their coming.
func TestLocalQueue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		space := mem.NewSpace()
		c, other := open(t, mem.New(space), nil), open(t, mem.New(space), nil)
		l := lock(t, other, "k")
		var (
			order []int
			wg    sync.WaitGroup
			last  fencing.Token
		)
		const n = 1000
		for i := range n {
			wg.Go(func() {
				l := lock(t, c, "k")
				order = append(order, i) // guarded by the lock itself
				if l.Token() <= last {
					t.Errorf("token %v after %v", l.Token(), last)
				}
				last = l.Token()
				unlock(t, l)
			})
			synctest.Wait() // it is in the queue before the next one
		}
		if s, err := c.Inspect(t.Context(), "k"); err != nil || s.Waiters != 1 {
			t.Errorf("the server sees %d waiters (%v), want 1", s.Waiters, err)
		}
		unlock(t, l)
		wg.Wait()
		for i, got := range order {
			if got != i {
				t.Fatalf("goroutine %d was served as number %d", got, i)
			}
		}
		free(t, c, "k")
	})
}

func TestEnsure(t *testing.T) {
	bubble(t, func(t *testing.T) {
		space := mem.NewSpace()
		f := newFaulty(space)
		c := open(t, f, nil)
		l := lock(t, c, "k")
		if err := l.Ensure(t.Context(), 10*second); err != nil || f.renews.Load() != 0 {
			t.Errorf("Ensure(10s) with 13.5s left: %v after %d renewals", err, f.renews.Load())
		}
		time.Sleep(4 * second)
		if err := l.Ensure(t.Context(), 13*second); err != nil || f.renews.Load() != 1 {
			t.Errorf("Ensure(13s) with 9.5s left: %v after %d renewals, want one", err, f.renews.Load())
		}
		if left := time.Until(l.ValidUntil()); left < 13*second {
			t.Errorf("%v left after Ensure(13s)", left)
		}
		if err := l.Ensure(t.Context(), 14*second); !errors.Is(err, fencelock.ErrInvalid) {
			t.Errorf("Ensure(14s) of 15s: %v, want ErrInvalid", err)
		}
		f.onRenew(unreachable)
		time.Sleep(2 * second)
		if err := l.Ensure(t.Context(), 13*second); !errors.Is(err, fencelock.ErrUnavailable) || l.Err() != nil {
			t.Errorf("Ensure without a server: %v, lease %v; want ErrUnavailable and a lease that stands", err, l.Err())
		}
		if _, err := c.Evict(t.Context(), "k", ""); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := l.Ensure(t.Context(), 0); !errors.Is(err, fencelock.ErrLost) {
			t.Errorf("Ensure after eviction: %v, want ErrLost", err)
		}
		_ = l.Unlock(t.Context())
	})
}

// DoValue is Do with a value: fn's, whatever becomes of the lease.
func TestDoValue(t *testing.T) {
	c := open(t, mem.New(mem.NewSpace()), nil)
	boom := errors.New("boom")
	n, err := fencelock.DoValue(t.Context(), c, "k", func(ctx context.Context, l *fencelock.Lease) (int, error) {
		if of, ok := fencelock.FromContext(ctx); !ok || of != l || l.Err() != nil {
			t.Errorf("FromContext: %v, %v", of, ok)
		}
		return 42, boom
	})
	if n != 42 || !errors.Is(err, boom) {
		t.Errorf("DoValue = %v, %v", n, err)
	}
	free(t, c, "k")
	s, err := fencelock.DoValue(t.Context(), c, "k", func(ctx context.Context, l *fencelock.Lease) (string, error) {
		_, err := c.Evict(ctx, "k", "")
		<-ctx.Done()
		return "done", err
	})
	if s != "done" || !errors.Is(err, fencelock.ErrLost) {
		t.Errorf("DoValue = %q, %v, want the value and ErrLost", s, err)
	}
	l := lock(t, c, "k")
	s, err = fencelock.DoValue(dead(), c, "k", func(context.Context, *fencelock.Lease) (string, error) {
		t.Error("called without the lock")
		return "no", nil
	})
	if s != "" || !errors.Is(err, context.Canceled) {
		t.Errorf("DoValue = %q, %v", s, err)
	}
	unlock(t, l)
	if _, err := fencelock.DoValue[int](t.Context(), c, "k", nil); !errors.Is(err, fencelock.ErrInvalid) {
		t.Errorf("a nil function: %v", err)
	}
	if _, err := fencelock.DoValue(t.Context(), nil, "k", func(context.Context, *fencelock.Lease) (int, error) { return 0, nil }); !errors.Is(err, fencelock.ErrInvalid) {
		t.Errorf("a nil Locker: %v", err)
	}
}
