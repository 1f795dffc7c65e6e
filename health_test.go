package fencelock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
)

func TestHealth(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFaulty(mem.NewSpace())
		link := drivertest.NewLink(warning{f}, 10*time.Millisecond)
		c := open(t, link, nil)
		l := lock(t, c, "k")
		check := func(what string, ctx context.Context, is, isNot error) {
			t.Helper()
			began := time.Now()
			h, err := c.Health(ctx)
			if is != nil && !errors.Is(err, is) || is == nil && err != nil || isNot != nil && errors.Is(err, isNot) {
				t.Errorf("%s: %v", what, err)
			}
			if h.Info.Guarantee != driver.Linearizable || len(h.Info.Warnings) != 1 {
				t.Errorf("%s: Info %+v", what, h.Info)
			}
			if took := time.Since(began); took > 3*second || err == nil && h.Took != took {
				t.Errorf("%s: it took %v, and says %v", what, took, h.Took)
			}
		}
		failing := func(want bool) {
			t.Helper()
			if h, _ := c.Health(dead()); (h.Failing != nil) != want {
				t.Errorf("Failing is %v", h.Failing)
			}
		}
		check("a server that answers", t.Context(), nil, nil)
		check("a dead context", dead(), context.Canceled, fencelock.ErrUnavailable)
		failing(false)

		heal := link.Cut()
		check("a server that is silent", t.Context(), fencelock.ErrUnavailable, context.DeadlineExceeded)
		if err := within(t, second, func(ctx context.Context) error {
			_, err := c.Health(ctx)
			return err
		}); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, fencelock.ErrUnavailable) {
			t.Errorf("a context that ends: %v", err)
		}
		heal()
		check("the server is back", t.Context(), nil, nil)

		// Reads are answered and renewals are not: that is told while a lease depends on it.
		f.onRenew(func(context.Context, []driver.Grant) []driver.Renewal {
			return []driver.Renewal{{Err: errPassing}}
		})
		time.Sleep(8 * second)
		check("renewals fail", t.Context(), nil, nil)
		failing(true)
		if h, _ := c.Health(t.Context()); !errors.Is(h.Failing, fencelock.ErrRefused) {
			t.Errorf("Failing: %v", h.Failing)
		}
		f.onRenew(nil)
		time.Sleep(2 * second)
		failing(false)
		f.onRenew(func(context.Context, []driver.Grant) []driver.Renewal {
			return []driver.Renewal{{Err: errPassing}}
		})
		<-l.Done()
		failing(false)
		_ = l.Unlock(t.Context())
		l = lock(t, c, "k")
		time.Sleep(6 * second)
		failing(true)
		unlock(t, l)
		failing(false)

		f.onInspect(func(context.Context, string) (driver.Status, error) { return driver.Status{}, errRefusing })
		check("a server that refuses", t.Context(), fencelock.ErrRefused, fencelock.ErrUnavailable)
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		check("a client that is closed", t.Context(), fencelock.ErrClosed, nil)
	})
}
