package drivertest

import (
	"errors"
	"sync"

	"github.com/fencelock/fencelock/driver"
)

var inspectMutants = []mutant{{
	name:  "Inspect counts no waiters",
	rules: []string{"Inspect"},
	mutate: inspecting(func(s driver.Status) driver.Status {
		if s.Held() {
			s.Waiters = -1
		}
		return s
	}),
}, {
	name:  "Inspect says who held a free key",
	rules: []string{"Inspect", "ExpiryFrees", "LeavesNothing"},
	mutate: inspecting(func(s driver.Status) driver.Status {
		if !s.Held() {
			s.Holders = []driver.Holder{{AttemptID: "somebody"}}
		}
		return s
	}),
}, {
	name:  "Inspect shows no token",
	rules: []string{"Inspect"},
	mutate: inspecting(func(s driver.Status) driver.Status {
		if s.Held() {
			s.Holders[0].Token = 0
		}
		return s
	}),
}, {
	name:  "meta is cut",
	rules: []string{"InspectShowsHolder", "Limits"},
	mutate: inspecting(func(s driver.Status) driver.Status {
		if s.Held() {
			s.Holders[0].Meta = s.Holders[0].Meta[:min(len(s.Holders[0].Meta), 255)]
		}
		return s
	}),
}, {
	name:  "Evict does nothing",
	rules: []string{"Evict", "TokensRiseThroughEviction", "RenewDoesNotResurrect"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, evict: func(ctx ctx, key, _ string) error {
			if s, err := b.Inspect(ctx, key); err != nil || !s.Held() {
				return errors.Join(driver.ErrNotHeld, err)
			}
			return nil
		}}
	}),
}, {
	name:   "Lost is never called",
	rules:  []string{"Evict"},
	mutate: asking(func(req *driver.Request) { req.Lost = nil }),
}, {
	name:   "Lost is called from the start",
	rules:  []string{"Evict", "LostIsNoRumour"},
	mutate: asking(func(req *driver.Request) { req.Lost(errors.New("by mistake")) }),
}, {
	name:  "Lost is called at release",
	rules: []string{"LostIsNoRumour"},
	mutate: hook(func(b driver.Backend) hooked {
		var told sync.Map // attempt to Request.Lost
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			told.Store(req.AttemptID, req.Lost)
			return b.Acquire(ctx, req)
		}, release: func(ctx ctx, g driver.Grant) error {
			if lost, ok := told.Load(g.AttemptID); ok {
				lost.(func(error))(errors.New("it is gone"))
			}
			return b.Release(ctx, g)
		}}
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

func asking(f func(*driver.Request)) func(*world) func(driver.Backend) driver.Backend {
	return hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			f(&req)
			return b.Acquire(ctx, req)
		}}
	})
}
