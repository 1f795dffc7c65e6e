package drivertest

import (
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

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
