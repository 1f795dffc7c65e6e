package drivertest

import (
	"sync"

	"github.com/fencelock/fencelock/driver"
)

var closeMutants = []mutant{{
	name:  "Close releases the grants",
	rules: []string{"CloseLeavesGrants"},
	mutate: hookIn(func(w *world, b driver.Backend) hooked {
		var mu sync.Mutex
		var grants []driver.Grant
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			g, err := b.Acquire(ctx, req)
			mu.Lock()
			defer mu.Unlock()
			grants = append(grants, g)
			return g, err
		}, close: func() error {
			mu.Lock()
			defer mu.Unlock()
			for _, g := range grants {
				_ = b.Release(w.ctx, g)
			}
			return b.Close()
		}}
	}),
}, {
	name:  "Close leaves calls under way",
	rules: []string{"CloseLeavesGrants", "NoGoroutineLeaks"},
	mutate: hookIn(func(w *world, b driver.Backend) hooked {
		go func() { <-w.ctx.Done(); _ = b.Close() }()
		return hooked{Backend: b, close: func() error { return nil }}
	}),
}, {
	name:  "Close cannot be called twice",
	rules: []string{"CloseLeavesGrants"},
	mutate: hookIn(func(w *world, b driver.Backend) hooked {
		closed := make(chan struct{}, 1)
		return hooked{Backend: b, close: func() error {
			select {
			case closed <- struct{}{}:
				return b.Close()
			default:
				<-w.ctx.Done() // as a send to a loop that has stopped
				return nil
			}
		}}
	}),
}, {
	name:  "a closed client guesses",
	rules: []string{"CloseLeavesGrants"},
	outside: renewing(func(ctx ctx, b driver.Backend, grants []driver.Grant) []driver.Renewal {
		out := b.Renew(ctx, grants)
		for i := range out {
			if out[i].Err != nil {
				out[i].Err = driver.ErrNotHeld
			}
		}
		return out
	}),
}}
