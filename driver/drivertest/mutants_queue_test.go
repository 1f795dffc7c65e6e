package drivertest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var queueMutants = []mutant{{
	name:  "the last to come is the first served",
	rules: []string{"FirstComeFirstServed"},
	mutate: func(*world) func(driver.Backend) driver.Backend {
		return (&pollers{period: 5 * delay, lifo: true}).client
	},
}, {
	name:  "the first to poll is served",
	rules: []string{"FirstComeFirstServed"},
	mutate: func(*world) func(driver.Backend) driver.Backend {
		return (&pollers{period: 7 * delay, scramble: true}).client
	},
}, {
	name:  "waiters poll in order",
	rules: []string{"PushIsPrompt"},
	mutate: func(*world) func(driver.Backend) driver.Backend {
		return (&pollers{period: 100 * time.Millisecond}).client
	},
}, {
	name:  "an attempt that asks again goes to the end of the queue",
	rules: []string{"RetryKeepsPosition"},
	mutate: func(*world) func(driver.Backend) driver.Backend {
		return (&pollers{period: 5 * delay}).client
	},
}}

// pollers is a server without a queue of its own: the clients keep it. They ask now and then, each
// when it believes that its turn has come.
type pollers struct {
	period                 time.Duration
	lifo, scramble, forget bool

	mu     sync.Mutex
	queues map[string][]string // attempts, by key
}

func (p *pollers) client(b driver.Backend) driver.Backend {
	return hooked{
		Backend: b,
		acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) { return p.acquire(ctx, b, req) },
		inspect: func(ctx ctx, key string) (driver.Status, error) {
			s, err := b.Inspect(ctx, key)
			if s.Held() {
				s.Waiters = len(p.queue(key))
			}
			return s, err
		},
	}
}

func (p *pollers) acquire(ctx ctx, b driver.Backend, req driver.Request) (driver.Grant, error) {
	if !req.Wait {
		g, err := b.Acquire(ctx, req)
		if err == nil && len(p.queue(req.Key)) > 0 && !p.scramble {
			_ = b.Release(ctx, g)
			return driver.Grant{}, &driver.HeldError{}
		}
		return g, err
	}
	p.enter(req)
	defer p.leave(req)
	for asked := time.Now(); ; {
		if p.turn(req) {
			once := req
			once.Wait = false
			if g, err := b.Acquire(ctx, once); !errors.Is(err, driver.ErrHeld) {
				return g, err
			}
		}
		if p.forget && time.Since(asked) > req.TTL {
			p.leave(req)
			if err := pause(ctx, 6*req.TTL); err != nil {
				return driver.Grant{}, context.Cause(ctx)
			}
			p.enter(req)
			asked = time.Now()
		}
		if err := pause(ctx, p.period/2+rand.N(p.period)); err != nil {
			return driver.Grant{}, err
		}
	}
}

func (p *pollers) queue(key string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.queues[key])
}

func (p *pollers) enter(req driver.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.queues == nil {
		p.queues = make(map[string][]string)
	}
	p.queues[req.Key] = append(p.queues[req.Key], req.AttemptID)
}

func (p *pollers) leave(req driver.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.queues[req.Key], req.AttemptID); i >= 0 {
		p.queues[req.Key] = slices.Delete(p.queues[req.Key], i, i+1)
	}
}

func (p *pollers) turn(req driver.Request) bool {
	queue := p.queue(req.Key)
	switch {
	case p.scramble:
		return true
	case len(queue) == 0:
		return false
	case p.lifo:
		return queue[len(queue)-1] == req.AttemptID
	}
	return queue[0] == req.AttemptID
}

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
	name:  "the position and the grant of a dead client are kept alive",
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
