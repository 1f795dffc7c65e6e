package drivertest

import (
	"context"
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
	name:  "a position is lost after a TTL, and the attempt enters the queue again at the end",
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
	name:  "a cancelled wait keeps its position",
	rules: []string{"ReleasedWaiterLeavesQueue", "CancelRacesGrant", "LeavesNothing"},
	mutate: hookIn(func(w *world, b driver.Backend) hooked {
		return hooked{Backend: b, acquire: background(w, b), release: onlyHeld(b)}
	}),
}, {
	name:  "every fourth wake-up is lost",
	rules: []string{"Contention"},
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

var waitingMutants = []mutant{{
	name:  "a waiter is never told that it waits",
	rules: []string{"WaitingIsTold", "SilenceIsNotWaiting"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			req.Waiting = nil
			return b.Acquire(ctx, req)
		}}
	}),
}, {
	name:  "a waiter is told that it waits once",
	rules: []string{"WaitingIsTold"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			if req.Waiting != nil {
				req.Waiting = sync.OnceFunc(req.Waiting)
			}
			return b.Acquire(ctx, req)
		}}
	}),
}, {
	name:  "a waiter is told that it waits once in two TTLs",
	rules: []string{"WaitingIsTold"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			if told, n := req.Waiting, 0; told != nil {
				req.Waiting = func() {
					if n%6 == 0 { // mem tells it each third of a TTL
						told()
					}
					n++
				}
			}
			return b.Acquire(ctx, req)
		}}
	}),
}, {
	name:  "an attempt is told that it waits before it has asked",
	rules: []string{"WaitingIsTold"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			if req.Waiting != nil {
				req.Waiting()
			}
			return b.Acquire(ctx, req)
		}}
	}),
}, {
	name:  "a waiter is told by a timer that it waits, whether the server answers or not",
	rules: []string{"SilenceIsNotWaiting"},
	outside: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			if told := req.Waiting; told != nil && req.Wait {
				end := make(chan struct{})
				defer close(end)
				go func() {
					for tick := time.NewTicker(req.TTL / 3); ; {
						select {
						case <-tick.C:
							told()
						case <-end:
							tick.Stop()
							return
						}
					}
				}()
			}
			return b.Acquire(ctx, req)
		}}
	}),
}}
