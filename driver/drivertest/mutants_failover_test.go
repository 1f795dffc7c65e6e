package drivertest

import (
	"time"

	"github.com/fencelock/fencelock/driver"
)

var failoverMutants = []mutant{{
	name:  "a fail-over loses the grants",
	rules: []string{"GrantsSurviveFailover"},
	mutate: hookIn(func(w *world, b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			g, err := b.Acquire(ctx, req)
			if err == nil {
				lost := w.failed
				w.failed = func() {
					_ = b.Evict(w.ctx, req.Key, "")
					if lost != nil {
						lost()
					}
				}
			}
			return g, err
		}}
	}),
}, {
	name:  "a fail-over grants what is held",
	rules: []string{"GrantsSurviveFailover"},
	mutate: hookIn(func(w *world, b driver.Backend) hooked {
		over := false
		w.failed = func() { over = true }
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			if g, err := b.Acquire(ctx, req); err == nil || !over || req.Wait {
				return g, err
			}
			return driver.Grant{Key: req.Key, AttemptID: req.AttemptID, Token: 1 << 40, Start: time.Now(), TTL: req.TTL}, nil
		}}
	}),
}}
