package recipe_test

import (
	"context"
	"errors"
	"sync"

	"github.com/fencelock/fencelock/driver"
)

// again asks again where there was no answer, as the core does. Without it a lock that only a majority
// has, as after two have wanted it, is not released for certain when one reply is lost.
type again struct {
	driver.Backend
	held sync.Map // by attempt
}

func unanswered(ctx context.Context, err error) bool {
	return errors.Is(err, driver.ErrUnavailable) && ctx.Err() == nil
}

func (a *again) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	for {
		g, err := a.Backend.Acquire(ctx, req)
		if err == nil {
			a.held.Store(req.AttemptID, true)
		}
		if !unanswered(ctx, err) {
			return g, err
		}
		req.Retry = true
	}
}

func (a *again) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	out := a.Backend.Renew(ctx, grants)
	for i := range out {
		for unanswered(ctx, out[i].Err) {
			out[i] = a.Backend.Renew(ctx, grants[i:i+1])[0]
		}
	}
	return out
}

func (a *again) Release(ctx context.Context, g driver.Grant) error {
	_, held := a.held.LoadAndDelete(g.AttemptID)
	err := a.Backend.Release(ctx, g)
	for unanswered(ctx, err) {
		if err = a.Backend.Release(ctx, g); held && errors.Is(err, driver.ErrNotHeld) {
			return nil // the one before has done it
		}
	}
	return err
}

func (a *again) Evict(ctx context.Context, key, attemptID string) error {
	err := a.Backend.Evict(ctx, key, attemptID)
	for unanswered(ctx, err) {
		err = a.Backend.Evict(ctx, key, attemptID)
	}
	return err
}

func (a *again) Inspect(ctx context.Context, key string) (driver.Status, error) {
	s, err := a.Backend.Inspect(ctx, key)
	for unanswered(ctx, err) {
		s, err = a.Backend.Inspect(ctx, key)
	}
	return s, err
}
