package mem

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

func ask(key, attempt string, ttl time.Duration, wait bool) driver.Request {
	return driver.Request{Key: key, AttemptID: attempt, TTL: ttl, Wait: wait}
}

// A waiter gets the lock at the moment at which the lease ends, and the holder
// is told at the same moment; whoever is told may call back.
func TestExpiryHandsOffOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSpace()
		a, b := New(s), New(s)
		var told []error
		tell := func(why error) {
			told = append(told, why)
			_, _ = a.Inspect(t.Context(), "k")
		}
		req := ask("k", "a", time.Second, false)
		req.Lost = tell
		g, err := a.Acquire(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(600 * time.Millisecond)
		if out := a.Renew(t.Context(), []driver.Grant{g}); out[0].Err != nil {
			t.Fatal(out[0].Err)
		}
		start := time.Now()
		req = ask("k", "b", time.Minute, true)
		req.Lost = tell
		if _, err := b.Acquire(t.Context(), req); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("the waiter got the lock after %v, want 1s after the renewal", took)
		}
		synctest.Wait()
		if !slices.Equal(told, []error{errExpired}) {
			t.Errorf("told after the expiry: %v", told)
		}
		if err := b.Evict(t.Context(), "k", ""); err != nil || !slices.Equal(told, []error{errExpired, driver.ErrEvicted}) {
			t.Errorf("Evict: %v, told: %v", err, told)
		}
	})
}

// A key that nobody uses takes no memory, however its last claim ended, and no
// timer goes on for it.
func TestIdleKeysAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSpace()
		a, b := New(s), New(s)
		for i := range 300 {
			key := fmt.Sprint("k", i)
			g, err := a.Acquire(t.Context(), ask(key, key+"-a", time.Second, false))
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			_, err = b.Acquire(ctx, ask(key, key+"-b", time.Second, true))
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			switch i % 3 {
			case 0: // both left alone: the grant expires, then the position that became one
			case 1:
				_ = b.Release(t.Context(), driver.Grant{Key: key, AttemptID: key + "-b"})
				_ = a.Release(t.Context(), g)
			case 2:
				_ = a.Evict(t.Context(), key, "")
				_ = a.Evict(t.Context(), key, "")
			}
			if _, err := b.Inspect(t.Context(), key+"-never"); err != nil {
				t.Fatal(err)
			}
			_, _ = a.Acquire(t.Context(), ask(key, key+"-b", time.Second, false))
		}
		_ = a.Close()
		_ = b.Close()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.keys) != 0 {
			t.Errorf("%d keys are left", len(s.keys))
		}
	})
}

// Attempts that were released are remembered, but not for ever.
func TestReleasedIsBounded(t *testing.T) {
	s := NewSpace()
	b := New(s)
	for i := range 3 * attempts.MaxTombstones {
		_ = b.Release(t.Context(), driver.Grant{Key: "k", AttemptID: fmt.Sprint(i)})
		_ = b.Release(t.Context(), driver.Grant{Key: "k", AttemptID: fmt.Sprint(i)}) // counts once
	}
	for i, want := range map[int]bool{3*attempts.MaxTombstones - 1: true, 2 * attempts.MaxTombstones: true, 2*attempts.MaxTombstones - 1: false} {
		if s.tombstones.Has(fmt.Sprint(i)) != want {
			t.Errorf("attempt %d remembered: %v", i, !want)
		}
	}
}

// An Acquire under way whose attempt is released ends; it does not wait for a turn
// that cannot come.
func TestReleaseEndsCallUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewSpace()
		a, b := New(s), New(s)
		g, _ := a.Acquire(t.Context(), ask("k", "a", time.Hour, false))
		done := make(chan error, 1)
		go func() {
			_, err := b.Acquire(t.Context(), ask("k", "b", time.Hour, true))
			done <- err
		}()
		synctest.Wait()
		if err := b.Release(t.Context(), driver.Grant{Key: "k", AttemptID: "b"}); !errors.Is(err, driver.ErrNotHeld) {
			t.Errorf("Release of a waiter: %v", err)
		}
		if err := <-done; !errors.Is(err, driver.ErrReleased) {
			t.Errorf("Acquire of a released attempt: %v", err)
		}
		if err := a.Release(t.Context(), g); err != nil {
			t.Error(err)
		}
	})
}

// A token that is known must match: an attempt that lost the key and got it again
// is not renewed or released by what it held before.
func TestTokenTellsGrantsOfOneAttemptApart(t *testing.T) {
	s := NewSpace()
	b := New(s)
	old, _ := b.Acquire(t.Context(), ask("k", "a", time.Hour, false))
	_ = b.Evict(t.Context(), "k", "")
	if _, err := b.Acquire(t.Context(), ask("k", "a", time.Hour, false)); err != nil {
		t.Fatal(err)
	}
	if out := b.Renew(t.Context(), []driver.Grant{old}); !errors.Is(out[0].Err, driver.ErrNotHeld) {
		t.Errorf("Renew of the former grant: %v", out[0].Err)
	}
	if err := b.Release(t.Context(), old); !errors.Is(err, driver.ErrNotHeld) {
		t.Errorf("Release of the former grant: %v", err)
	}
	if st, _ := b.Inspect(t.Context(), "k"); !st.Held() {
		t.Error("the new grant is gone")
	}
}

func BenchmarkUncontended(b *testing.B) {
	c := New(nil)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		g, err := c.Acquire(b.Context(), ask("k", fmt.Sprint(i), time.Minute, false))
		if err != nil {
			b.Fatal(err)
		}
		if err := c.Release(b.Context(), g); err != nil {
			b.Fatal(err)
		}
	}
}
