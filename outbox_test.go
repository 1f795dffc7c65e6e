package fencelock_test

import (
	"context"
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

// sink is a log that hands each line to a function.
type sink struct{ take func(slog.Record) }

func (s sink) Enabled(context.Context, slog.Level) bool { return true }
func (s sink) WithAttrs([]slog.Attr) slog.Handler       { return s }
func (s sink) WithGroup(string) slog.Handler            { return s }
func (s sink) Handle(_ context.Context, r slog.Record) error {
	s.take(r)
	return nil
}

// warning is a backend with something to say to the log at Open.
type warning struct{ *faulty }

func (w warning) Info() driver.Info {
	info := w.faulty.Info()
	info.Warnings = []string{"the server forgets"}
	return info
}

// An outage, a log that does not take a line, and an observer that does not return: nothing
// waits for them.
func TestBlockedLogAndObserverStopNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		stuck := make(chan struct{})
		f := newFaulty(mem.NewSpace())
		began := time.Now()
		c := open(t, warning{f}, &fencelock.Options{
			Logger:   slog.New(sink{func(slog.Record) { <-stuck }}),
			Observer: observerFunc(func(fencelock.Event) { <-stuck }),
		})
		if took := time.Since(began); took > second/2 {
			t.Errorf("New took %v", took)
		}
		l := lock(t, c, "k")
		for range 50 {
			f.onRenew(unreachable)
			time.Sleep(7 * second)
			f.onRenew(nil)
			time.Sleep(5 * second)
		}
		began = time.Now()
		if err := l.Err(); err != nil {
			t.Errorf("the lease was lost: %v", err)
		}
		unlock(t, l)
		l = lock(t, c, "lost")
		if _, err := c.Evict(t.Context(), "lost", ""); err != nil {
			t.Error(err)
		}
		<-l.Done()
		unlock(t, lock(t, c, "k"))
		if took := time.Since(began); took > 0 {
			t.Errorf("a log and an observer that block cost %v", took)
		}
		began = time.Now()
		if err := c.Close(); err != nil || time.Since(began) > 5*second {
			t.Errorf("Close: %v after %v", err, time.Since(began))
		}
		close(stuck)
	})
}

// What the observer has not taken in time is counted, and told in its place. (The bubble
// would not end if a goroutine stayed without anything to deliver.)
func TestDroppedEventsAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		type ctxKey struct{}
		gate := make(chan struct{})
		var got []string
		c := open(t, mem.New(nil), &fencelock.Options{Observer: observer(func(ctx context.Context, e fencelock.Event) {
			<-gate
			if ctx.Err() != nil || e.Key != "" && ctx.Value(ctxKey{}) != e.Key {
				t.Errorf("%v of %q came with the context %v", e.Kind, e.Key, ctx)
			}
			if e.Kind == fencelock.EventDropped {
				got = append(got, fmt.Sprint("dropped ", e.Count))
			} else {
				got = append(got, e.Key+" "+e.Kind.String())
			}
		})})
		var want []string
		round := func(i int) {
			key := fmt.Sprint(i)
			ctx, cancel := context.WithCancel(context.WithValue(t.Context(), ctxKey{}, key))
			defer cancel()
			l, err := c.Lock(ctx, key)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Unlock(ctx); err != nil {
				t.Fatal(err)
			}
			want = append(want, key+" acquired", key+" unlocked")
		}
		for i := range 1000 { // 2,000 events: one is with the observer, 1,024 wait
			if round(i); i == 0 {
				synctest.Wait()
			}
		}
		want = append(want[:1025], fmt.Sprint("dropped ", 2000-1025))
		for range 10 { // taken: one that it has, and nine of those that wait
			gate <- struct{}{}
		}
		synctest.Wait()
		for i := range 4 { // eight of them fit
			round(1000 + i)
		}
		close(gate)
		if err := c.Close(); err != nil { // which waits for what is left
			t.Error(err)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("the observer got %d events, want %d:\n%.3000q\nwant\n%.3000q", len(got), len(want), got[1000:], want[1000:])
		}
	})
}

type observer func(context.Context, fencelock.Event)

func (f observer) Observe(ctx context.Context, e fencelock.Event) { f(ctx, e) }

// The same for the log, by a line.
func TestDroppedLinesAreCounted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		gate := make(chan struct{})
		var got []string
		f := newFaulty(mem.NewSpace())
		c := open(t, f, &fencelock.Options{Logger: slog.New(sink{func(r slog.Record) {
			<-gate
			line := r.Message
			r.Attrs(func(a slog.Attr) bool {
				if a.Key == "lines" {
					line += " " + a.String()
				}
				return true
			})
			got = append(got, line)
		}})})
		for range 2000 {
			l := lock(t, c, "k")
			if _, err := c.Evict(t.Context(), "k", ""); err != nil { // a line, and another of the loss
				t.Fatal(err)
			}
			<-l.Done()
			synctest.Wait()
		}
		close(gate)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		// The line of the eviction and that of the loss come from two goroutines.
		if len(got) != 1026 || !strings.Contains(got[1025], "lines=2975") || !strings.Contains(got[0]+got[1], "evicted") {
			t.Errorf("%d lines, the first %q, the last %q", len(got), got[0], got[len(got)-1])
		}
	})
}
