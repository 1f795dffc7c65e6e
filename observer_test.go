package fencelock_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
)

// named is a backend with a namespace.
type named struct{ driver.Backend }

func (b named) Info() driver.Info {
	i := b.Backend.Info()
	i.Namespace = "team"
	return i
}

// A wait is told once, before it ends, by whatever way the server says so; one that does not wait
// is not.
func TestEventWaiting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		space := mem.NewSpace()
		f := newFaulty(space)
		var events recorded
		c := open(t, named{f}, &fencelock.Options{Observer: &events})
		other := open(t, mem.New(space), nil)
		kinds := func() (kinds []fencelock.EventKind) {
			for _, e := range events.of(fencelock.EventWaiting, fencelock.EventAcquired, fencelock.EventNotAcquired) {
				if e.Namespace != "team" || e.Backend != "mem" || e.Key != "k" {
					t.Errorf("event: %+v", e)
				}
				kinds = append(kinds, e.Kind)
			}
			events.all = nil
			return kinds
		}
		unlock(t, lock(t, c, "k"))
		if got := kinds(); !slices.Equal(got, []fencelock.EventKind{fencelock.EventAcquired}) {
			t.Errorf("a free lock: %v", got)
		}
		for how, acquire := range map[string]func(context.Context, driver.Request) (driver.Grant, error){
			"pushed": nil,
			"polled": func(ctx context.Context, req driver.Request) (driver.Grant, error) {
				req.Wait = false
				return f.Backend.Acquire(ctx, req)
			},
		} {
			f.onAcquire(acquire)
			held := lock(t, other, "k")
			if _, err := c.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
				t.Errorf("TryLock: %v", err)
			}
			if got := kinds(); !slices.Equal(got, []fencelock.EventKind{fencelock.EventNotAcquired}) {
				t.Errorf("%s: TryLock: %v", how, got)
			}
			time.AfterFunc(time.Minute, func() { unlock(t, held) })
			unlock(t, lock(t, c, "k"))
			if got := kinds(); !slices.Equal(got, []fencelock.EventKind{fencelock.EventWaiting, fencelock.EventAcquired}) {
				t.Errorf("%s: Lock: %v", how, got)
			}
			held = lock(t, other, "k")
			_ = within(t, second, locking(c, "k"))
			if got := kinds(); !slices.Equal(got, []fencelock.EventKind{fencelock.EventWaiting, fencelock.EventNotAcquired}) {
				t.Errorf("%s: Lock that gives up: %v", how, got)
			}
			unlock(t, held)
		}
		f.onAcquire(nil)
	})
}

// What Unlock takes is not how long the lock was held.
func TestEventHeld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		var events recorded
		c := open(t, f, &fencelock.Options{Observer: &events})
		f.onRelease(func(ctx context.Context, g driver.Grant) error {
			time.Sleep(second)
			return f.Backend.Release(ctx, g)
		})
		l := lock(t, c, "k")
		time.Sleep(2 * second)
		unlock(t, l)
		told := events.of(fencelock.EventUnlocked)
		if len(told) != 1 || told[0].Took != second || told[0].Held != 2*second || told[0].Token != l.Token() {
			t.Errorf("events: %+v", told)
		}
		f.onRelease(nil)
	})
}

// Each loss is one EventLost, whoever finds it: also an Unlock, and even one that comes after an
// Unlock that could not find out.
func TestEventLostOnce(t *testing.T) {
	for _, refused := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			k := newKeeps(t)
			l := lock(t, k.c, "k")
			time.Sleep(second / 2)
			want := []fencelock.EventKind{fencelock.EventLost}
			if refused {
				k.f.onRelease(func(context.Context, driver.Grant) error { return errRefusing })
				if err := l.Unlock(t.Context()); !errors.Is(err, fencelock.ErrRefused) {
					t.Errorf("Unlock: %v", err)
				}
				k.f.onRelease(nil)
				want = []fencelock.EventKind{fencelock.EventUnlocked, fencelock.EventLost}
			}
			synctest.Wait()
			lines := len(k.lines)
			s, _ := k.other.Inspect(t.Context(), "k")
			if err := k.f.Backend.Release(t.Context(), driver.Grant{Key: "k", AttemptID: s.Holders[0].AttemptID}); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if err := l.Unlock(t.Context()); !errors.Is(err, fencelock.ErrLost) {
					t.Errorf("Unlock: %v", err)
				}
			}
			var got []fencelock.EventKind
			for _, e := range k.events.of(fencelock.EventUnlocked, fencelock.EventLost) {
				got = append(got, e.Kind)
				if e.Held != second/2 || e.Token != l.Token() || e.Err == nil {
					t.Errorf("event: %+v", e)
				}
			}
			if !slices.Equal(got, want) || len(k.lines) != lines+1 || k.lines[lines] != "fencelock: lease lost" {
				t.Errorf("events: %v, want %v; log: %q", got, want, k.lines)
			}
		})
	}
}

func TestEventKindStrings(t *testing.T) {
	for k := fencelock.EventAcquired; k <= fencelock.EventWaiting; k++ {
		if s := k.String(); s == "" || s == "unknown" {
			t.Errorf("EventKind(%d) = %q", int(k), s)
		}
	}
	if s := (fencelock.EventWaiting + 1).String(); s != "unknown" {
		t.Errorf("one too many: %q", s)
	}
}
