package drivertest

import (
	"context"
	"errors"
	"sync"

	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
)

// ctx keeps the signatures below on one line.
type ctx = context.Context

var acquireMutants = []mutant{{
	name:  "each client has its own locks",
	rules: []string{"Exclusion", "Scramble", "Contention", "ConcurrentUse"},
	mutate: func(*world) func(driver.Backend) driver.Backend {
		return func(b driver.Backend) driver.Backend {
			own := mem.New(nil)
			return hooked{Backend: b, acquire: own.Acquire, renew: own.Renew, release: own.Release}
		}
	},
}, {
	name:  "a client may lock what it holds again",
	rules: []string{"Exclusion"},
	mutate: hook(func(b driver.Backend) hooked {
		var mu sync.Mutex
		held := make(map[string]driver.Grant)
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			mu.Lock()
			g, mine := held[req.Key]
			mu.Unlock()
			if mine && g.AttemptID != req.AttemptID {
				if s, err := b.Inspect(ctx, req.Key); err == nil && holder(s).Token == g.Token {
					g.AttemptID = req.AttemptID
					return g, nil
				}
			}
			g, err := b.Acquire(ctx, req)
			if err == nil {
				mu.Lock()
				held[req.Key] = g
				mu.Unlock()
			}
			return g, err
		}}
	}),
}, {
	name:  "it looks first and takes later",
	rules: []string{"Scramble"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			if s, err := b.Inspect(ctx, req.Key); err == nil && !s.Held() && !req.Retry {
				if err := pause(ctx, delay); err != nil {
					return driver.Grant{}, err
				}
				_ = b.Evict(ctx, req.Key, "")
			}
			return b.Acquire(ctx, req)
		}}
	}),
}, {
	name:  "TryLock stands in the queue",
	rules: []string{"TryDoesNotWait", "LeavesNothing"},
	mutate: hookIn(func(w *world, b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			g, err := b.Acquire(ctx, req)
			if errors.Is(err, driver.ErrHeld) {
				req.Wait = true
				go func() { _, _ = b.Acquire(w.ctx, req) }()
			}
			return g, err
		}, release: onlyHeld(b)}
	}),
}, {
	name:  "TryLock waits for the holder",
	rules: []string{"TryDoesNotWait"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			req.Wait = true
			return b.Acquire(ctx, req)
		}}
	}),
}, {
	name:  "late packets of a released attempt are granted",
	rules: []string{"ReleasedAttemptStaysOut"},
	mutate: hook(func(b driver.Backend) hooked {
		var mu sync.Mutex
		late := make(map[string]string) // attempt to alias
		alias := func(attemptID string) string {
			mu.Lock()
			defer mu.Unlock()
			if a, ok := late[attemptID]; ok {
				return a
			}
			return attemptID
		}
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			attemptID := req.AttemptID
			req.AttemptID = alias(attemptID)
			g, err := b.Acquire(ctx, req)
			g.AttemptID = attemptID
			return g, err
		}, release: func(ctx ctx, g driver.Grant) error {
			attemptID := g.AttemptID
			g.AttemptID = alias(attemptID)
			err := b.Release(ctx, g)
			mu.Lock()
			defer mu.Unlock()
			late[attemptID] = newAttemptID()
			return err
		}}
	}),
}, {
	name:  "errors have no kind",
	rules: []string{"ReturnsWhenContextDone", "ConcurrentUse"},
	outside: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			g, err := b.Acquire(ctx, req)
			if ctx.Err() != nil && err != nil {
				err = errors.New("timed out")
			}
			return g, err
		}}
	}),
}}

// onlyHeld is a Release that does not see waiters.
func onlyHeld(b driver.Backend) func(ctx, driver.Grant) error {
	return func(ctx ctx, g driver.Grant) error {
		if s, err := b.Inspect(ctx, g.Key); err != nil || !s.Held() || holder(s).AttemptID != g.AttemptID {
			return errors.Join(driver.ErrNotHeld, err)
		}
		return b.Release(ctx, g)
	}
}

var retryMutants = []mutant{{
	name:  "a retry is granted again",
	rules: []string{"RetryReturnsSameGrant"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			g, err := b.Acquire(ctx, req)
			if req.Retry {
				g.Token += 1000
			}
			return g, err
		}}
	}),
}, {
	name:  "a retry by the holder meets its own lock",
	rules: []string{"RetryReturnsSameGrant"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			if s, err := b.Inspect(ctx, req.Key); err == nil && s.Held() && !req.Wait {
				return driver.Grant{}, &driver.HeldError{}
			}
			return b.Acquire(ctx, req)
		}}
	}),
}, {
	name:  "a retry by the holder waits for itself",
	rules: []string{"RetryReturnsSameGrant"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			if s, err := b.Inspect(ctx, req.Key); err == nil && holder(s).AttemptID == req.AttemptID && req.Wait {
				<-ctx.Done()
				return driver.Grant{}, ctx.Err()
			}
			return b.Acquire(ctx, req)
		}}
	}),
}}
