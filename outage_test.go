package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
)

// outages are ways in which a server does not answer renewals while down is open.
var outages = map[string]func(f *faulty, down chan struct{}) func(context.Context, []driver.Grant) []driver.Renewal{
	"refused connections": func(*faulty, chan struct{}) func(context.Context, []driver.Grant) []driver.Renewal {
		return unreachable
	},
	"requests are answered when it is back": func(f *faulty, down chan struct{}) func(context.Context, []driver.Grant) []driver.Renewal {
		return func(ctx context.Context, g []driver.Grant) []driver.Renewal {
			sent := time.Now()
			select {
			case <-down:
				out := f.Backend.Renew(ctx, g)
				for i := range out {
					out[i].Start = sent
				}
				return out
			case <-ctx.Done():
				return unreachable(ctx, g)
			}
		}
	},
	"requests are lost": func(*faulty, chan struct{}) func(context.Context, []driver.Grant) []driver.Renewal { return hanging },
}

// An outage of half a TTL loses nothing, whenever it begins; one of a quarter where what
// is sent meanwhile is lost, so that its time has to run out first. No outage is survived
// that leaves no time between two renewals and the deadline.
func TestOutageBound(t *testing.T) {
	const phases = 48
	for name, outage := range outages {
		for _, ttl := range []time.Duration{second, 9 * second, time.Minute} {
			survives := func(t *testing.T, begin, lasts time.Duration) (kept bool) {
				t.Helper()
				bubble(t, func(t *testing.T) {
					f := newFaulty(mem.NewSpace())
					c := open(t, f, &fencelock.Options{TTL: ttl})
					l := lock(t, c, "k")
					time.Sleep(begin)
					down := make(chan struct{})
					f.onRenew(outage(f, down))
					time.Sleep(lasts)
					f.onRenew(nil)
					close(down)
					time.Sleep(ttl)
					kept = l.Err() == nil
					if err := l.Err(); !kept && !errors.Is(err, fencelock.ErrLost) {
						t.Errorf("lost by %v", err)
					}
					_ = l.Unlock(t.Context())
				})
				return kept
			}
			t.Run(fmt.Sprint(name, "/", ttl), func(t *testing.T) {
				bound := ttl / 2
				if name == "requests are lost" {
					bound = ttl / 4
				}
				for i := range phases {
					if begin := ttl/3 + ttl/3*time.Duration(i)/phases - time.Millisecond; !survives(t, begin, bound) {
						t.Errorf("an outage of %v, %v after the lock was taken, lost it", bound, begin)
					}
				}
				if most := ttl*9/10 - ttl/3; survives(t, ttl/3-time.Millisecond, most+2*time.Millisecond) {
					t.Errorf("an outage of %v, just before a renewal, lost nothing: then the documentation is wrong", most)
				}
			})
		}
	}
}

// A loss, and a renewal that failed, are no end of a context of the caller's.
func TestLossIsNoContextsError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		var events []fencelock.Event
		c := open(t, f, &fencelock.Options{Observer: observerFunc(func(e fencelock.Event) { events = append(events, e) })})
		for _, end := range []error{context.DeadlineExceeded, context.Canceled} {
			f.onRenew(func(_ context.Context, g []driver.Grant) []driver.Renewal {
				out := make([]driver.Renewal, len(g))
				for i := range out {
					out[i].Err = fmt.Errorf("%w: %w", driver.ErrUnavailable, end)
				}
				return out
			})
			l := lock(t, c, "k")
			work := l.Context(t.Context())
			<-work.Done()
			for what, err := range map[string]error{"Err": l.Err(), "the cause": context.Cause(work), "Unlock": l.Unlock(t.Context())} {
				if !errors.Is(err, fencelock.ErrLost) || errors.Is(err, fencelock.ErrUnavailable) || errors.Is(err, end) {
					t.Errorf("%s: %v", what, err)
				}
			}
			synctest.Wait()
			if len(events) < 3 {
				t.Errorf("%d events", len(events))
			}
			for _, e := range events {
				if errors.Is(e.Err, end) {
					t.Errorf("event %v: %v", e.Kind, e.Err)
				}
			}
		}
	})
}

// Renewals succeed again when the server has renewed something, and not when there is
// nothing left to renew.
func TestEndOfOutageIsLoggedWhenItIsOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		var lines []string
		c := open(t, f, &fencelock.Options{Logger: slog.New(sink{func(r slog.Record) { lines = append(lines, r.Message) }})})
		logged := func(want ...string) {
			t.Helper()
			synctest.Wait()
			var got []string
			for _, line := range lines {
				if strings.Contains(line, "renewals") {
					got = append(got, line)
				}
			}
			lines = nil
			for i := range max(len(got), len(want)) {
				if i >= len(got) || i >= len(want) || !strings.Contains(got[i], want[i]) {
					t.Fatalf("the log says %q, want %q", got, want)
				}
			}
		}
		gone := func(_ context.Context, g []driver.Grant) []driver.Renewal {
			out := make([]driver.Renewal, len(g))
			for i := range out {
				out[i].Err = driver.ErrNotHeld
			}
			return out
		}
		l := lock(t, c, "k")
		f.onRenew(unreachable)
		time.Sleep(8 * second)
		logged("renewals fail")
		f.onRenew(gone)
		<-l.Done()
		logged()
		_ = l.Unlock(t.Context())

		f.onRenew(nil)
		short, long := lock(t, c, "short", fencelock.WithTTL(3*second)), lock(t, c, "long", fencelock.WithTTL(40*second))
		time.Sleep(2 * second)
		logged("succeed again")
		f.onRenew(func(ctx context.Context, g []driver.Grant) []driver.Renewal {
			if g[0].TTL > 3*second {
				return unreachable(ctx, g)
			}
			return f.Backend.Renew(ctx, g)
		})
		time.Sleep(25 * second)
		logged("renewals fail") // though those of another class succeed
		f.onRenew(nil)
		time.Sleep(10 * second)
		logged("succeed again")
		unlock(t, short)
		unlock(t, long)
	})
}

// TestWaitIsNoRoundTrip: a lock that was waited for, and is lost later, does not blame the network for
// the wait.
func TestWaitIsNoRoundTrip(t *testing.T) {
	bubble(t, func(t *testing.T) {
		space := mem.NewSpace()
		holder := open(t, mem.New(space), nil)
		f := newFaulty(space)
		c := open(t, f, &fencelock.Options{TTL: second})
		held, err := holder.Lock(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(300*time.Millisecond, func() { _ = held.Unlock(context.Background()) })
		f.onAcquire(func(ctx context.Context, req driver.Request) (driver.Grant, error) {
			sent := time.Now()
			g, err := f.Backend.Acquire(ctx, req)
			g.Start = sent // of the last that was said by this side, as a backend does that is pushed to
			return g, err
		})
		f.onRenew(func(ctx context.Context, g []driver.Grant) []driver.Renewal { return unreachable(ctx, g) })
		lease, err := c.Lock(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		<-lease.Done()
		if err := lease.Err(); !errors.Is(err, fencelock.ErrLost) || strings.Contains(err.Error(), "must take less") {
			t.Errorf("Err = %v", err)
		}
	})
}

// Where the round trip is too long for the TTL, the error, or the loss, says how long it is
// and which TTL would do; nothing goes on for ever.
func TestRoundTripTooLongForTTL(t *testing.T) {
	for _, x := range []struct {
		roundTrip time.Duration
		lost      bool // granted, and lost; else never granted
		want      string
	}{
		{240 * time.Millisecond, false, ""},
		{300 * time.Millisecond, true, "after 300ms, and a renewal of a TTL of 1s must take less than 250ms: a TTL of 1.6s would do"},
		{950 * time.Millisecond, false, "after 950ms, and a renewal of a TTL of 1s must take less than 250ms: a TTL of 4.8s would do"},
		{3500 * time.Millisecond, false, "after 3.5s, and a renewal of a TTL of 1s must take less than 250ms"},
	} {
		bubble(t, func(t *testing.T) {
			f := newFaulty(mem.NewSpace())
			c := open(t, f, &fencelock.Options{TTL: second})
			travel := func(ctx context.Context) error {
				select {
				case <-time.After(x.roundTrip / 2):
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			f.onAcquire(func(ctx context.Context, req driver.Request) (driver.Grant, error) {
				sent := time.Now()
				if err := travel(ctx); err != nil {
					return driver.Grant{}, err
				}
				g, err := f.Backend.Acquire(ctx, req)
				g.Start = sent
				return g, errors.Join(err, travel(ctx))
			})
			f.onRenew(func(ctx context.Context, g []driver.Grant) []driver.Renewal {
				sent := time.Now()
				if travel(ctx) != nil {
					return unreachable(ctx, g)
				}
				out := f.Backend.Renew(ctx, g)
				if travel(ctx) != nil {
					return unreachable(ctx, g)
				}
				for i := range out {
					out[i].Start = sent
				}
				return out
			})
			began := time.Now()
			l, err := c.Lock(t.Context(), "k")
			if took := time.Since(began); took > 3*x.roundTrip+second {
				t.Errorf("with a round trip of %v: Lock took %v", x.roundTrip, took)
			}
			if err == nil {
				time.Sleep(5 * second)
				err = l.Err()
				_ = l.Unlock(t.Context())
			}
			switch {
			case x.want == "" && err == nil:
			case x.want == "" || err == nil || !strings.Contains(err.Error(), x.want) || strings.Contains(err.Error(), x.want+":"):
				t.Errorf("with a round trip of %v: %v, want %q", x.roundTrip, err, x.want)
			case x.lost != errors.Is(err, fencelock.ErrLost), !x.lost && !errors.Is(err, fencelock.ErrUnavailable):
				t.Errorf("with a round trip of %v: %v", x.roundTrip, err)
			}
		})
	}
}
