package drivertest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
)

var infoMutants = []mutant{{
	name:  "Info overstates the guarantee's bounds",
	rules: []string{"Info"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, info: func() driver.Info {
			i := b.Info()
			i.MaxTTL *= 2
			return i
		}}
	}),
}, {
	name:  "Info forgets a feature",
	rules: []string{"Info"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, info: func() driver.Info {
			i := b.Info()
			i.Features = driver.Push
			return i
		}}
	}),
}, {
	name:  "Info says that another clock counts",
	rules: []string{"Info"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, info: func() driver.Info {
			i := b.Info()
			i.SameClock = !i.SameClock
			return i
		}}
	}),
}, {
	name:  "Info hides that there are no tokens",
	rules: []string{"Info"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, info: func() driver.Info {
			i := b.Info()
			i.Tokenless = !i.Tokenless
			return i
		}}
	}),
}, {
	name:  "Info names another namespace",
	rules: []string{"Info"},
	world: func(w *world) { w.want.Namespace = "billing" },
}, {
	name:  "Info changes",
	rules: []string{"Info"},
	mutate: hook(func(b driver.Backend) hooked {
		asked := 0
		return hooked{Backend: b, info: func() driver.Info {
			i := b.Info()
			if asked++; asked > 1 {
				i.Guarantee = driver.Advisory
			}
			return i
		}}
	}),
}}

var openMutants = []mutant{{
	name:  "Open ignores unknown parameters",
	rules: []string{"OpenRefusesNonsense"},
	world: func(w *world) {
		open := w.open
		w.open = func(ctx ctx, u *url.URL) (driver.Backend, error) {
			u.RawQuery = ""
			return open(ctx, u)
		}
	},
}, {
	name:  "Open quotes the URL",
	rules: []string{"OpenHidesPasswords"},
	world: func(w *world) { w.open = opener(func(u *url.URL) string { return fmt.Sprintf(" in %s", u) }) },
}, {
	name:  "Open opens something else",
	rules: []string{"OpenWorks"},
	world: func(w *world) {
		open := w.open
		w.open = func(ctx ctx, u *url.URL) (driver.Backend, error) {
			b, err := open(ctx, u)
			return hooked{Backend: b, info: func() driver.Info { return driver.Info{Name: "else"} }}, err
		}
	},
}, {
	name:  "Open waits for a server that is away",
	rules: []string{"OpenSaysWhy"},
	world: away(func(ctx ctx) error {
		<-ctx.Done()
		return fmt.Errorf("%w: no route", driver.ErrUnavailable)
	}),
}, {
	name:  "Open waits for a minute",
	rules: []string{"OpenSaysWhy"},
	world: away(func(ctx) error {
		time.Sleep(time.Minute)
		return fmt.Errorf("%w: no route", driver.ErrUnavailable)
	}),
}, {
	name:  "Open says only that it took too long",
	rules: []string{"OpenSaysWhy"},
	world: away(func(ctx) error { return fmt.Errorf("%w: %w", driver.ErrUnavailable, context.DeadlineExceeded) }),
}, {
	name:  "Open says the reason without a kind",
	rules: []string{"OpenSaysWhy"},
	world: away(func(ctx) error { return errors.New("no route") }),
}, {
	name:  "Open makes a backend of a server that is away",
	rules: []string{"OpenSaysWhy"},
	world: away(func(ctx) error { return nil }),
}}

// away has Open do something else with a server that is away.
func away(instead func(ctx ctx) error) func(w *world) {
	return func(w *world) {
		open := w.open
		w.open = func(ctx ctx, u *url.URL) (driver.Backend, error) {
			if u.Host != "away" {
				return open(ctx, u)
			}
			return mem.New(nil), instead(ctx)
		}
	}
}

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
