package drivertest

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var waitMutants = []mutant{{
	name:  "a wait ignores its context",
	rules: []string{"ReturnsWhenContextDone", "NoGoroutineLeaks"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			return b.Acquire(context.WithoutCancel(ctx), req)
		}}
	}),
}, {
	name:  "Release ignores its context",
	rules: []string{"UnavailableIsNotDefinitive"},
	outside: hookIn(func(w *world, b driver.Backend) hooked {
		return hooked{Backend: b, release: func(_ ctx, g driver.Grant) error { return b.Release(w.ctx, g) }}
	}),
}, {
	name:  "a wait lasts no longer than a TTL",
	rules: []string{"WaitOutlivesTTL"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			short, cancel := context.WithTimeout(ctx, req.TTL)
			defer cancel()
			return b.Acquire(short, req)
		}}
	}),
}, {
	name:  "a place is lost after a TTL and taken anew at the end",
	rules: []string{"WaitOutlivesTTL"},
	mutate: func(*world) func(driver.Backend) driver.Backend {
		p := &pollers{period: 5 * delay, forget: true}
		return p.client
	},
}, {
	name:  "a call that waits holds up the client's others",
	rules: []string{"WaitBlocksNobody"},
	mutate: hook(func(b driver.Backend) hooked {
		line := make(chan struct{}, 1)
		turn := func(ctx ctx) error {
			select {
			case line <- struct{}{}:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			if err := turn(ctx); err != nil {
				return driver.Grant{}, err
			}
			defer func() { <-line }()
			return b.Acquire(ctx, req)
		}, inspect: func(ctx ctx, key string) (driver.Status, error) {
			if err := turn(ctx); err != nil {
				return driver.Status{}, err
			}
			defer func() { <-line }()
			return b.Inspect(ctx, key)
		}}
	}),
}, {
	name:  "a cancelled wait keeps its place",
	rules: []string{"ReleasedWaiterLeavesQueue", "CancelRacesGrant", "LeavesNothing"},
	mutate: hookIn(func(w *world, b driver.Backend) hooked {
		return hooked{Backend: b, acquire: background(w, b), release: onlyHeld(b)}
	}),
}, {
	name:  "every fourth wake-up is lost",
	rules: []string{"Contention", "CancelRacesGrant"},
	mutate: func(*world) func(driver.Backend) driver.Backend {
		var n atomic.Int32
		return func(b driver.Backend) driver.Backend {
			return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
				g, err := b.Acquire(ctx, req)
				if err == nil && req.Wait && n.Add(1)%4 == 0 {
					<-ctx.Done()
					return driver.Grant{}, ctx.Err()
				}
				return g, err
			}}
		}
	},
}, {
	name:  "a waiter whose session died is granted",
	rules: []string{"DeadSessionIsNotGranted"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			g, err := b.Acquire(ctx, req)
			if errors.Is(err, errSession) {
				return driver.Grant{Key: req.Key, Owner: req.Owner, Token: 1 << 40, Start: time.Now(), TTL: req.TTL}, nil
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
			g, ok := kept[req.Owner]
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
						kept[req.Owner] = g
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

// background waits in the server's queue for as long as the world lasts, whatever
// becomes of the call.
func background(w *world, b driver.Backend) func(ctx, driver.Request) (driver.Grant, error) {
	type answer struct {
		g   driver.Grant
		err error
	}
	return func(ctx ctx, req driver.Request) (driver.Grant, error) {
		got := make(chan answer, 1)
		go func() {
			g, err := b.Acquire(w.ctx, req)
			got <- answer{g, err}
		}()
		select {
		case a := <-got:
			return a.g, a.err
		case <-ctx.Done():
			return driver.Grant{}, ctx.Err()
		}
	}
}
