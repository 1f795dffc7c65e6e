package drivertest

import (
	"context"

	"github.com/fencelock/fencelock/driver"
)

var inspectMutants = []mutant{{
	name:  "Inspect counts no waiters",
	rules: []string{"Inspect"},
	mutate: inspecting(func(s driver.Status) driver.Status {
		if s.Held {
			s.Waiters = -1
		}
		return s
	}),
}, {
	name:  "Inspect says who held a free key",
	rules: []string{"Inspect", "ExpiryFrees", "LeavesNothing"},
	mutate: inspecting(func(s driver.Status) driver.Status {
		if !s.Held {
			s.Owner = "somebody"
		}
		return s
	}),
}, {
	name:  "Inspect shows no token",
	rules: []string{"Inspect"},
	mutate: inspecting(func(s driver.Status) driver.Status {
		s.Token = 0
		return s
	}),
}, {
	name:  "meta is cut",
	rules: []string{"MetaIsShown", "Limits"},
	mutate: inspecting(func(s driver.Status) driver.Status {
		s.Meta = s.Meta[:min(len(s.Meta), 255)]
		return s
	}),
}, {
	name:  "Evict does nothing",
	rules: []string{"Evict", "TokensRiseThroughEviction", "RenewDoesNotResurrect"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, evict: func(ctx, string) error { return nil }}
	}),
}, {
	name:   "Lost is never done",
	rules:  []string{"Evict"},
	mutate: granting(func(g *driver.Grant) { g.Lost = context.Background() }),
}, {
	name:  "Lost is done from the start",
	rules: []string{"Evict"},
	mutate: granting(func(g *driver.Grant) {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		g.Lost = ctx
	}),
}}

func inspecting(f func(driver.Status) driver.Status) func(*world) func(driver.Backend) driver.Backend {
	return hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, inspect: func(ctx ctx, key string) (driver.Status, error) {
			s, err := b.Inspect(ctx, key)
			return f(s), err
		}}
	})
}

func granting(f func(*driver.Grant)) func(*world) func(driver.Backend) driver.Backend {
	return hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			g, err := b.Acquire(ctx, req)
			if err == nil {
				f(&g)
			}
			return g, err
		}}
	})
}
