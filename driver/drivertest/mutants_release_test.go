package drivertest

import (
	"errors"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

var releaseMutants = []mutant{{
	name:  "release frees the key of any holder",
	rules: []string{"ReleaseOnlyOwn", "StaleHolderIsHarmless", "ReleaseByAttempt"},
	mutate: releasing(func(ctx ctx, b driver.Backend, g driver.Grant) error {
		err := b.Release(ctx, g)
		if s, failed := b.Inspect(ctx, g.Key); err != nil && failed == nil && s.Held() {
			return b.Release(ctx, driver.Grant{Key: g.Key, AttemptID: s.Holders[0].AttemptID})
		}
		return err
	}),
}, {
	name:  "release without a token is ignored",
	rules: []string{"ReleaseByAttempt"},
	mutate: releasing(func(ctx ctx, b driver.Backend, g driver.Grant) error {
		if g.Token == 0 {
			return driver.ErrNotHeld
		}
		return b.Release(ctx, g)
	}),
}, {
	name:  "release always says yes",
	rules: []string{"ReleaseTellsLoss", "ReleaseOnlyOwn"},
	mutate: releasing(func(ctx ctx, b driver.Backend, g driver.Grant) error {
		if err := b.Release(ctx, g); !errors.Is(err, driver.ErrNotHeld) {
			return err
		}
		return nil
	}),
}, {
	name:  "a release that cannot be sent is taken for a loss",
	rules: []string{"UnavailableIsNotDefinitive"},
	outside: releasing(func(ctx ctx, b driver.Backend, g driver.Grant) error {
		if err := b.Release(ctx, g); err != nil {
			return driver.ErrNotHeld
		}
		return nil
	}),
}}

func releasing(f func(ctx, driver.Backend, driver.Grant) error) func(*world) func(driver.Backend) driver.Backend {
	return hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, release: func(ctx ctx, g driver.Grant) error { return f(ctx, b, g) }}
	})
}

var tokenMutants = []mutant{{
	name:   "the counter is forgotten at release",
	rules:  []string{"TokensRiseThroughRelease", "Contention"},
	mutate: func(w *world) func(driver.Backend) driver.Backend { return newCounters(w, "release").client },
}, {
	name:   "the counter is forgotten at expiry",
	rules:  []string{"TokensRiseThroughExpiry"},
	mutate: func(w *world) func(driver.Backend) driver.Backend { return newCounters(w, "expiry").client },
}, {
	name:   "the counter is forgotten at eviction",
	rules:  []string{"TokensRiseThroughEviction"},
	mutate: func(w *world) func(driver.Backend) driver.Backend { return newCounters(w, "eviction").client },
}, {
	name:   "the counter is kept in the record that an operator deletes",
	rules:  []string{"TokensRiseBehindTheBack"},
	mutate: func(w *world) func(driver.Backend) driver.Backend { return newCounters(w, "erased").client },
}, {
	name:   "the counter is lost in a fail-over",
	rules:  []string{"TokensRiseThroughFailover"},
	mutate: func(w *world) func(driver.Backend) driver.Backend { return newCounters(w, "failover").client },
}, {
	name:   "two grants in a row have the same token",
	rules:  []string{"TokensRiseThroughRelease", "Contention"},
	mutate: func(w *world) func(driver.Backend) driver.Backend { return newCounters(w, "half").client },
}}

// counters numbers the grants of each key by itself, and forgets the number at
// one kind of event.
type counters struct {
	forget string
	mu     sync.Mutex
	byKey  map[string]*counter
	byID   map[claimID]fencing.Token
}

type counter struct {
	n     fencing.Token
	ended bool      // the last grant was released or evicted
	until time.Time // else it expires then
}

func newCounters(w *world, forget string) *counters {
	c := &counters{forget: forget, byKey: make(map[string]*counter), byID: make(map[claimID]fencing.Token)}
	w.erased = func(key string) { c.end(key, "erased") }
	w.failed = func() {
		for key := range c.byKey {
			c.end(key, "failover")
		}
	}
	return c
}

func (c *counters) end(key, how string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.byKey[key]; k != nil {
		k.ended = true
		if c.forget == how {
			k.n = 0
		}
	}
}

func (c *counters) next(g driver.Grant) fencing.Token {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := claimID{g.Key, g.AttemptID}
	if t, ok := c.byID[id]; ok {
		return t
	}
	k := c.byKey[g.Key]
	if k == nil {
		k = &counter{}
		c.byKey[g.Key] = k
	}
	if k.n > 0 && !k.ended && c.forget == "expiry" && !time.Now().Before(k.until) {
		k.n = 0
	}
	k.n++
	k.ended, k.until = false, ends(g)
	t := k.n
	if c.forget == "half" {
		t = (t + 1) / 2
	}
	c.byID[id] = t
	return t
}

func (c *counters) client(b driver.Backend) driver.Backend {
	return hooked{
		Backend: b,
		acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			g, err := b.Acquire(ctx, req)
			if err == nil {
				g.Token = c.next(g)
			}
			return g, err
		},
		renew: func(ctx ctx, grants []driver.Grant) []driver.Renewal {
			bare := make([]driver.Grant, len(grants))
			for i, g := range grants {
				bare[i] = driver.Grant{Key: g.Key, AttemptID: g.AttemptID}
			}
			return b.Renew(ctx, bare)
		},
		release: func(ctx ctx, g driver.Grant) error {
			g.Token = 0
			err := b.Release(ctx, g)
			if err == nil {
				c.end(g.Key, "release")
			}
			return err
		},
		evict: func(ctx ctx, key, attemptID string) error {
			c.end(key, "eviction")
			return b.Evict(ctx, key, attemptID)
		},
	}
}
