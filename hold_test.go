package fencelock_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
)

const ttl = 3 * second

// keeps is a client over a server of its own, with what it tells.
type keeps struct {
	space  *mem.Space
	f      *faulty
	c      *fencelock.Client
	other  *fencelock.Client
	events recorded
	lines  []string
}

func newKeeps(t *testing.T) *keeps {
	k := &keeps{space: mem.NewSpace()}
	k.f = newFaulty(k.space)
	k.c = open(t, k.f, &fencelock.Options{
		TTL: ttl, Observer: &k.events,
		Logger: slog.New(sink{func(r slog.Record) { k.lines = append(k.lines, r.Message) }}),
	})
	k.other = open(t, mem.New(k.space), nil)
	return k
}

// recorded is an Observer that keeps all.
type recorded struct {
	mu  sync.Mutex
	all []fencelock.Event
}

func (r *recorded) Observe(_ context.Context, e fencelock.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, e)
}

// of returns the events of these kinds, once all are given.
func (r *recorded) of(kinds ...fencelock.EventKind) (some []fencelock.Event) {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.all {
		for _, k := range kinds {
			if e.Kind == k {
				some = append(some, e)
			}
		}
	}
	return some
}

// untilFree waits, in steps of 10 ms, until another can have the key, and returns how long.
func (k *keeps) untilFree(t *testing.T) time.Duration {
	t.Helper()
	for began := time.Now(); time.Since(began) < time.Hour; time.Sleep(10 * time.Millisecond) {
		l, err := k.other.TryLock(t.Context(), "k")
		if err == nil {
			unlock(t, l)
			return time.Since(began)
		}
		if !errors.Is(err, fencelock.ErrHeld) {
			t.Fatalf("TryLock: %v", err)
		}
	}
	t.Fatal("nobody else got the lock within an hour")
	return 0
}

// Unlock returns at once, and the lock is free when the time is over: through renewals where that
// is longer than the TTL.
func TestMinHold(t *testing.T) {
	for _, least := range []time.Duration{second, ttl, 20 * ttl} {
		bubble(t, func(t *testing.T) {
			k := newKeeps(t)
			l := lock(t, k.c, "k", fencelock.WithMinHold(least))
			time.Sleep(second / 2)
			began := time.Now()
			for range 2 {
				if err := l.Unlock(t.Context()); err != nil || time.Since(began) > 0 {
					t.Errorf("Unlock: %v after %v", err, time.Since(began))
				}
			}
			select {
			case <-l.Done():
			default:
				t.Error("the lease has not ended")
			}
			if !errors.Is(l.Err(), fencelock.ErrUnlocked) || k.f.releases.Load() != 0 {
				t.Errorf("Err: %v; %d releases", l.Err(), k.f.releases.Load())
			}
			if took := k.untilFree(t); took < least-second/2 || took > least-second/2+10*time.Millisecond {
				t.Errorf("free %v after Unlock, want %v", took, least-second/2)
			}
			if err := l.Unlock(t.Context()); err != nil || k.f.releases.Load() != 1 {
				t.Errorf("Unlock afterwards: %v; %d releases", err, k.f.releases.Load())
			}
			told := k.events.of(fencelock.EventUnlocked, fencelock.EventLost)
			if len(told) != 1 || told[0].Held != second/2 || told[0].Took != 0 || told[0].Err != nil {
				t.Errorf("events: %+v", told)
			}
			if len(k.lines) > 0 {
				t.Errorf("log: %q", k.lines)
			}
		})
	}
}

// A minimum that is over when Unlock comes changes nothing.
func TestMinHoldIsOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKeeps(t)
		l := lock(t, k.c, "k", fencelock.WithMinHold(second))
		time.Sleep(second)
		unlock(t, l)
		if k.f.releases.Load() != 1 {
			t.Errorf("%d releases", k.f.releases.Load())
		}
		free(t, k.other, "k")
	})
}

// Close releases what is kept.
func TestMinHoldEndsWithClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKeeps(t)
		unlock(t, lock(t, k.c, "k", fencelock.WithMinHold(time.Hour)))
		time.Sleep(10 * ttl)
		if _, err := k.other.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("TryLock: %v", err)
		}
		if err := k.c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		free(t, k.other, "k")
	})
}

// Close against Unlock, and against the end of the time: in each order the lock is free when both
// are over, and nothing hangs.
func TestMinHoldRacesWithClose(t *testing.T) {
	for range 200 {
		bubble(t, func(t *testing.T) {
			k := newKeeps(t)
			a := lock(t, k.c, "a", fencelock.WithMinHold(time.Hour))
			unlock(t, lock(t, k.c, "k", fencelock.WithMinHold(second)))
			time.Sleep(second)
			var both sync.WaitGroup
			both.Go(func() { _ = a.Unlock(t.Context()) })
			both.Go(func() {
				if err := k.c.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			both.Wait()
			time.Sleep(2 * ttl) // Unlock may have come too late for the backend
			free(t, k.other, "a")
			free(t, k.other, "k")
		})
	}
}

// Many at once: one Unlock is told, and none of the others releases the lock early.
func TestMinHoldUnlockedConcurrently(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKeeps(t)
		l := lock(t, k.c, "k", fencelock.WithMinHold(time.Minute))
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if err := l.Unlock(t.Context()); err != nil {
					t.Errorf("Unlock: %v", err)
				}
			})
		}
		all.Wait()
		if took := k.untilFree(t); took < time.Minute || took > time.Minute+10*time.Millisecond {
			t.Errorf("free after %v", took)
		}
		if told := k.events.of(fencelock.EventUnlocked); len(told) != 1 {
			t.Errorf("%d events", len(told))
		}
	})
}

// Others of the same client, who wait for their turn in it, get the lock no sooner, and one after the other.
func TestMinHoldKeepsOutTheSameClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKeeps(t)
		began := time.Now()
		first := lock(t, k.c, "k", fencelock.WithMinHold(time.Minute))
		var all sync.WaitGroup
		var mu sync.Mutex
		var got []time.Duration
		for range 5 {
			all.Go(func() {
				l := lock(t, k.c, "k", fencelock.WithMinHold(time.Minute))
				mu.Lock()
				got = append(got, time.Since(began))
				mu.Unlock()
				unlock(t, l)
			})
		}
		synctest.Wait()
		unlock(t, first)
		if _, err := k.c.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("TryLock: %v", err)
		}
		all.Wait()
		for i, at := range got {
			if want := time.Duration(i+1) * time.Minute; at < want || at > want+second {
				t.Errorf("the lock was granted after %v, want one each minute", got)
				break
			}
		}
	})
}

// An eviction at the moment of Unlock: one event, and nothing is kept, whichever is first.
func TestMinHoldRacesWithEvict(t *testing.T) {
	for range 100 {
		bubble(t, func(t *testing.T) {
			k := newKeeps(t)
			l := lock(t, k.c, "k", fencelock.WithMinHold(time.Hour))
			var both sync.WaitGroup
			both.Go(func() { _ = l.Unlock(t.Context()) })
			both.Go(func() { _, _ = k.other.Evict(t.Context(), "k", "") })
			both.Wait()
			if told := k.events.of(fencelock.EventUnlocked, fencelock.EventLost); len(told) != 1 {
				t.Errorf("events: %+v", told)
			}
			free(t, k.other, "k")
		})
	}
}

// A process that dies holds the lock no longer than its TTL.
func TestMinHoldOfTheDead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKeeps(t)
		unlock(t, lock(t, k.c, "k", fencelock.WithMinHold(time.Hour)))
		k.f.onRenew(unreachable) // as if nobody asked any more
		if took := k.untilFree(t); took > ttl+10*time.Millisecond {
			t.Errorf("free after %v, want the TTL", took)
		}
		k.f.onRenew(nil)
	})
}

// A lease that is lost has no minimum, and Unlock says so.
func TestMinHoldAfterLoss(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKeeps(t)
		l := lock(t, k.c, "k", fencelock.WithMinHold(time.Hour))
		if _, err := k.other.Evict(t.Context(), "k", ""); err != nil {
			t.Fatal(err)
		}
		<-l.Done()
		if err := l.Unlock(t.Context()); !errors.Is(err, fencelock.ErrLost) {
			t.Errorf("Unlock: %v", err)
		}
		time.Sleep(second)
		free(t, k.other, "k")
		if told := k.events.of(fencelock.EventUnlocked, fencelock.EventLost); len(told) != 1 || told[0].Kind != fencelock.EventLost {
			t.Errorf("events: %+v", told)
		}
	})
}

// What is lost after Unlock the log tells, and nobody else: by the server's word, by a renewal,
// and by the clock.
func TestMinHoldIsCutShort(t *testing.T) {
	for how, cut := range map[string]func(t *testing.T, k *keeps){
		"evicted": func(t *testing.T, k *keeps) {
			if _, err := k.other.Evict(t.Context(), "k", ""); err != nil {
				t.Error(err)
			}
		},
		"gone at the next renewal": func(t *testing.T, k *keeps) {
			s, _ := k.other.Inspect(t.Context(), "k")
			if err := mem.New(k.space).Release(t.Context(), driver.Grant{Key: "k", AttemptID: s.Holders[0].AttemptID}); err != nil {
				t.Error(err)
			}
		},
		"cut off": func(_ *testing.T, k *keeps) { k.f.onRenew(unreachable) },
	} {
		t.Run(how, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				k := newKeeps(t)
				l := lock(t, k.c, "k", fencelock.WithMinHold(time.Hour))
				unlock(t, l)
				time.Sleep(2 * ttl)
				cut(t, k)
				time.Sleep(2 * ttl)
				synctest.Wait()
				said := 0
				for _, line := range k.lines {
					if strings.Contains(line, "before its WithMinHold was over") {
						said++
					}
				}
				if said != 1 {
					t.Errorf("log: %q", k.lines)
				}
				if told := k.events.of(fencelock.EventLost); len(told) != 0 {
					t.Errorf("events: %+v", told)
				}
				if err := l.Unlock(t.Context()); err != nil {
					t.Errorf("Unlock again: %v", err)
				}
				k.f.onRenew(nil)
				time.Sleep(2 * time.Hour)
				free(t, k.other, "k")
			})
		})
	}
}

// The lease is lost when its time is over, whatever the server says, and others get the lock by
// Unlock, or a TTL later at the latest.
func TestMaxHold(t *testing.T) {
	for _, most := range []time.Duration{second, ttl, 20 * ttl} {
		for _, unlocks := range []bool{true, false} {
			bubble(t, func(t *testing.T) {
				k := newKeeps(t)
				began := time.Now()
				l := lock(t, k.c, "k", fencelock.WithMaxHold(most), fencelock.WithMinHold(most))
				ctx := l.Context(t.Context())
				if l.ValidUntil().Sub(began) > most {
					t.Errorf("ValidUntil is %v after the grant", l.ValidUntil().Sub(began))
				}
				<-ctx.Done()
				if took := time.Since(began); took != most {
					t.Errorf("lost after %v, want %v", took, most)
				}
				errs := map[string]error{"Err": l.Err(), "cause": context.Cause(ctx), "Ensure": l.Ensure(t.Context(), time.Millisecond)}
				if unlocks {
					errs["Unlock"] = l.Unlock(t.Context())
					time.Sleep(time.Millisecond)
					free(t, k.other, "k")
				} else if took := k.untilFree(t); took > ttl {
					t.Errorf("free after %v, want a TTL at the most", took)
				}
				for what, err := range errs {
					if !errors.Is(err, fencelock.ErrLost) || !errors.Is(err, fencelock.ErrMaxHold) || !strings.Contains(err.Error(), most.String()) {
						t.Errorf("%s: %v", what, err)
					}
				}
				told := k.events.of(fencelock.EventLost, fencelock.EventUnlocked)
				if len(told) != 1 || told[0].Kind != fencelock.EventLost || told[0].Held != most || !errors.Is(told[0].Err, fencelock.ErrMaxHold) {
					t.Errorf("events: %+v", told)
				}
			})
		}
	}
}

// A loss that comes before the bound has its own reason.
func TestMaxHoldIsNotReached(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKeeps(t)
		l := lock(t, k.c, "k", fencelock.WithMaxHold(time.Minute))
		k.f.onRenew(unreachable)
		<-l.Done()
		if err := l.Err(); !errors.Is(err, fencelock.ErrLost) || errors.Is(err, fencelock.ErrMaxHold) {
			t.Errorf("Err: %v", err)
		}
		k.f.onRenew(nil)
		_ = l.Unlock(t.Context())
	})
}

// A suspend of the machine counts, though the monotonic clock stood still.
func TestMaxHoldOfASleeper(t *testing.T) {
	bubble(t, func(t *testing.T) {
		m, c := sleepyWith(t, far{newFaulty(mem.NewSpace())}, &fencelock.Options{TTL: time.Hour})
		l := lock(t, c, "k", fencelock.WithMaxHold(time.Minute))
		time.Sleep(time.Millisecond)
		m.Sleep(2 * time.Minute)
		if err := l.Err(); !errors.Is(err, fencelock.ErrMaxHold) {
			t.Errorf("Err: %v", err)
		}
		_ = l.Unlock(t.Context())
	})
}

// Ensure does not promise more than the bound leaves, and says which way it is short of it.
func TestEnsureWithinMaxHold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		k := newKeeps(t)
		l := lock(t, k.c, "k", fencelock.WithMaxHold(2*second))
		if err := l.Ensure(t.Context(), 2*second); err != nil {
			t.Errorf("all of it: %v", err)
		}
		if err := l.Ensure(t.Context(), 2*second+1); !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), "WithMaxHold") {
			t.Errorf("more than ever: %v", err)
		}
		time.Sleep(second)
		if err := l.Ensure(t.Context(), second); err != nil {
			t.Errorf("what is left: %v", err)
		}
		err := l.Ensure(t.Context(), second+1)
		if !errors.Is(err, fencelock.ErrMaxHold) || errors.Is(err, fencelock.ErrLost) || errors.Is(err, fencelock.ErrInvalid) || l.Err() != nil {
			t.Errorf("more than is left: %v; the lease: %v", err, l.Err())
		}
		unlock(t, l)
	})
}

// Options of one lock that are wrong are named, with what to do.
func TestLockOptionsAreChecked(t *testing.T) {
	c := open(t, mem.New(mem.NewSpace()), nil)
	long := strings.Repeat("x", 1000)
	for want, opts := range map[string][]fencelock.LockOption{
		"WithIdentity has 1000 bytes; the longest has 255":              {fencelock.WithIdentity(long)},
		"WithIdentity is not valid UTF-8: use strings.ToValidUTF8":      {fencelock.WithIdentity("a\xff")},
		"WithIdentity has a NUL character: leave it out":                {fencelock.WithIdentity("a\x00b")},
		"WithMeta has 1000 bytes; the longest has 768: shorten it":      {fencelock.WithMeta(long)},
		"WithMeta is not valid UTF-8: encode it":                        {fencelock.WithMeta("\xff")},
		"WithMinHold is -1s: want 0 or more":                            {fencelock.WithMinHold(-second)},
		"WithMaxHold is -1s: want 0 or more":                            {fencelock.WithMaxHold(-second)},
		"WithMinHold is 2s and WithMaxHold is 1s: the minimum must not": {fencelock.WithMinHold(2 * second), fencelock.WithMaxHold(second)},
	} {
		for name, try := range map[string]func(context.Context, string, ...fencelock.LockOption) (*fencelock.Lease, error){"Lock": c.Lock, "TryLock": c.TryLock} {
			if l, err := try(t.Context(), "k", opts...); l != nil || !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %q", name, err, want)
			}
		}
	}
	if _, err := fencelock.New(mem.New(nil), &fencelock.Options{Identity: "a\x00"}); !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), "Options.Identity has a NUL") {
		t.Errorf("New: %v", err)
	}
	l, err := c.Lock(t.Context(), "k", fencelock.WithMinHold(0), fencelock.WithMaxHold(0), fencelock.WithIdentity(""), fencelock.WithMeta(""))
	if err != nil {
		t.Fatalf("zero values: %v", err)
	}
	unlock(t, l)
	free(t, c, "k")
}

// Who and what for: of one lock, or of the client.
func TestIdentityAndMetaOfOneLock(t *testing.T) {
	space := mem.NewSpace()
	c := open(t, mem.New(space), &fencelock.Options{Identity: "client"})
	meta := "job 7\x00, and more"
	a := lock(t, c, "a", fencelock.WithIdentity("worker 3"), fencelock.WithMeta(meta))
	b := lock(t, c, "b")
	for key, want := range map[string][2]string{"a": {"worker 3", meta}, "b": {"client", ""}} {
		s, err := c.Inspect(t.Context(), key)
		if err != nil || !s.Held() || s.Holders[0].Identity != want[0] || s.Holders[0].Meta != want[1] {
			t.Errorf("Inspect(%q) = %+v, %v; want %q", key, s, err, want)
		}
	}
	var held *fencelock.HeldError
	if _, err := c.TryLock(t.Context(), "a"); !errors.As(err, &held) || held.Identity != "worker 3" || held.Left <= 0 {
		t.Errorf("TryLock: %v, %+v", err, held)
	}
	unlock(t, a)
	unlock(t, b)
}
