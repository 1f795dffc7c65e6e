package fencelock_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
)

// TestLossSaysWhatHappened: a server that knows no more than that a lock is not held has an
// explanation put to it, in each of the ways by which a loss is heard of; one that gives a
// reason has that told as it is.
func TestLossSaysWhatHappened(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const explained = "the server does not have this lock any more"
		reason := fmt.Errorf("%w: the disk is gone", driver.ErrNotHeld)
		for _, row := range []struct {
			answer error
			want   bool
		}{{driver.ErrNotHeld, true}, {reason, false}} {
			b := newFaulty(nil)
			c := open(t, b, nil)
			var lost func(error)
			b.onAcquire(func(ctx context.Context, r driver.Request) (driver.Grant, error) {
				lost = r.Lost
				return b.Backend.Acquire(ctx, r)
			})
			b.onRenew(func(_ context.Context, grants []driver.Grant) []driver.Renewal {
				out := make([]driver.Renewal, len(grants))
				for i := range out {
					out[i].Err = row.answer
				}
				return out
			})
			b.onRelease(func(context.Context, driver.Grant) error { return row.answer })

			renewed := lock(t, c, "renewed")
			<-renewed.Done()
			pushed := lock(t, c, "pushed")
			lost(row.answer)
			<-pushed.Done()
			released := lock(t, c, "released").Unlock(t.Context())

			for how, err := range map[string]error{"renewal": renewed.Err(), "push": pushed.Err(), "release": released} {
				if !errors.Is(err, fencelock.ErrLost) || errors.Is(err, fencelock.ErrNotHeld) {
					t.Errorf("%s: %v; want ErrLost, and not ErrNotHeld, which is Evict's", how, err)
				}
				if strings.Contains(err.Error(), explained) != row.want || !strings.Contains(err.Error(), row.answer.Error()) {
					t.Errorf("%s, answer %q: %v; explained: want %v", how, row.answer, err, row.want)
				}
			}
			time.Sleep(time.Minute) // the janitor's
		}
	})
}
