package drivertest

import (
	"errors"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var deadMutants = []mutant{{
	name:  "a waiter whose session died is granted",
	rules: []string{"DeadSessionIsNotGranted"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			g, err := b.Acquire(ctx, req)
			if errors.Is(err, errSession) {
				return driver.Grant{Key: req.Key, AttemptID: req.AttemptID, Token: 1 << 40, Start: time.Now(), TTL: req.TTL}, nil
			}
			return g, err
		}}
	}),
}, {
	name:  "a grant that came while nobody asked is kept for later",
	rules: []string{"GrantIsAlive"},
	mutate: hookIn(func(w *world, b driver.Backend) hooked {
		var mu sync.Mutex
		kept := make(map[string]driver.Grant)
		wait := background(w, b)
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			mu.Lock()
			g, ok := kept[req.AttemptID]
			mu.Unlock()
			if ok {
				g.Start = time.Now()
				return g, nil
			}
			g, err := wait(ctx, req)
			if err != nil && req.Wait {
				go func() {
					if g, err := b.Acquire(w.ctx, req); err == nil {
						mu.Lock()
						defer mu.Unlock()
						kept[req.AttemptID] = g
					}
				}()
			}
			return g, err
		}}
	}),
}, {
	name:  "the place and the grant of a dead client are kept alive",
	rules: []string{"DeadWaiterIsSkipped", "CutWaiterIsSkipped"},
	mutate: hookIn(func(w *world, b driver.Backend) hooked {
		server := w.server()
		wait := background(w, server)
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			if !req.Wait {
				return b.Acquire(ctx, req)
			}
			go func() {
				g, err := server.Acquire(w.ctx, req)
				for err == nil && pause(w.ctx, req.TTL/3) == nil {
					err = server.Renew(w.ctx, []driver.Grant{g})[0].Err
				}
			}()
			return wait(ctx, req)
		}}
	}),
}, {
	name:  "a goroutine is left behind by each wait",
	rules: []string{"NoGoroutineLeaks"},
	mutate: hookIn(func(w *world, b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			if req.Wait {
				go func() { <-w.ctx.Done() }()
			}
			return b.Acquire(ctx, req)
		}}
	}),
}, {
	name:  "a goroutine outlives Close",
	rules: []string{"NoGoroutineLeaks"},
	mutate: func(w *world) func(driver.Backend) driver.Backend {
		return func(b driver.Backend) driver.Backend {
			go func() { <-w.ctx.Done() }()
			return b
		}
	},
}}
