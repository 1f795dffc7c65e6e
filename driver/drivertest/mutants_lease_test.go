package drivertest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var renewMutants = []mutant{{
	name:  "renewal takes an expired lock again",
	rules: []string{"RenewDoesNotResurrect"},
	mutate: renewing(func(ctx ctx, b driver.Backend, grants []driver.Grant) []driver.Renewal {
		out := b.Renew(ctx, grants)
		for i, g := range grants {
			if errors.Is(out[i].Err, driver.ErrNotHeld) {
				n, err := b.Acquire(ctx, driver.Request{Key: g.Key, AttemptID: g.AttemptID, TTL: g.TTL})
				if err == nil {
					out[i] = driver.Renewal{Start: n.Start, TTL: n.TTL}
				}
			}
		}
		return out
	}),
}, {
	name:  "renewal does nothing and says yes",
	rules: []string{"RenewKeeps", "RenewDoesNotResurrect", "StartIsBeforeRequest"},
	mutate: renewing(func(_ ctx, _ driver.Backend, grants []driver.Grant) []driver.Renewal {
		out := make([]driver.Renewal, len(grants))
		for i, g := range grants {
			out[i] = driver.Renewal{Start: time.Now(), TTL: g.TTL}
		}
		return out
	}),
}, {
	name:  "renewals come back in the wrong order",
	rules: []string{"RenewKeepsOrder"},
	mutate: renewing(func(ctx ctx, b driver.Backend, grants []driver.Grant) []driver.Renewal {
		out := b.Renew(ctx, grants)
		slices.Reverse(out)
		return out
	}),
}, {
	name:  "one failure fails the batch",
	rules: []string{"RenewKeepsOrder"},
	mutate: renewing(func(ctx ctx, b driver.Backend, grants []driver.Grant) []driver.Renewal {
		out := b.Renew(ctx, grants)
		for _, r := range out {
			if r.Err != nil {
				for i := range out {
					out[i] = r
				}
				break
			}
		}
		return out
	}),
}, {
	name:  "a batch ends at a hundred",
	rules: []string{"ManyKeys"},
	mutate: renewing(func(ctx ctx, b driver.Backend, grants []driver.Grant) []driver.Renewal {
		out := b.Renew(ctx, grants[:min(len(grants), 100)])
		for len(out) < len(grants) {
			out = append(out, driver.Renewal{Err: driver.ErrNotHeld})
		}
		return out
	}),
}, {
	name:  "loss is never definite",
	rules: []string{"DeadSessionIsTold", "CutHolderLapses", "TokensRiseBehindTheBack", "Evict", "StaleHolderIsHarmless"},
	mutate: renewing(func(ctx ctx, b driver.Backend, grants []driver.Grant) []driver.Renewal {
		out := b.Renew(ctx, grants)
		for i := range out {
			if out[i].Err != nil {
				out[i].Err = driver.ErrUnavailable
			}
		}
		return out
	}),
}, {
	name:  "an unreachable server is taken for a loss",
	rules: []string{"UnavailableIsNotDefinitive"},
	outside: renewing(func(ctx ctx, b driver.Backend, grants []driver.Grant) []driver.Renewal {
		out := b.Renew(ctx, grants)
		for i := range out {
			if errors.Is(out[i].Err, driver.ErrUnavailable) {
				out[i].Err = fmt.Errorf("%w: no answer", driver.ErrNotHeld)
			}
		}
		return out
	}),
}}

func renewing(f func(ctx, driver.Backend, []driver.Grant) []driver.Renewal) func(*world) func(driver.Backend) driver.Backend {
	return hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, renew: func(ctx ctx, grants []driver.Grant) []driver.Renewal {
			return f(ctx, b, grants)
		}}
	})
}

var timeMutants = []mutant{{
	name:   "leases end early",
	rules:  []string{"ExpiryFrees", "StartIsBeforeRequest", "CutHolderLapses"},
	mutate: scaled(func(ttl time.Duration) time.Duration { return ttl * 8 / 10 }),
}, {
	name:   "leases never end",
	rules:  []string{"ExpiryFrees", "ExpiryIsPerGrant", "CutHolderLapses", "StaleHolderIsHarmless", "TokensRiseThroughExpiry"},
	mutate: scaled(func(time.Duration) time.Duration { return want.MaxTTL }),
}, {
	name:   "a TTL is cut to whole seconds",
	rules:  []string{"Limits"},
	mutate: scaled(func(ttl time.Duration) time.Duration { return max(ttl.Truncate(time.Second), 1) }),
}, {
	name:  "a client's leases live as long as its longest",
	rules: []string{"ExpiryIsPerGrant"},
	mutate: func(w *world) func(driver.Backend) driver.Backend {
		return func(b driver.Backend) driver.Backend {
			var mu sync.Mutex
			var longest time.Duration
			return scaled(func(ttl time.Duration) time.Duration {
				mu.Lock()
				defer mu.Unlock()
				longest = max(longest, ttl)
				return longest
			})(w)(b)
		}
	},
}, {
	name:  "an expired lock is free for those who ask, not for those who wait",
	rules: []string{"ExpiryFrees", "TokensRiseThroughExpiry", "CutHolderLapses"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			before, _ := b.Inspect(ctx, req.Key)
			g, err := b.Acquire(ctx, req)
			if waited := time.Since(g.Start) == 0 && before.Held(); err == nil && waited && before.Holders[0].Left <= 2*time.Second {
				_ = b.Release(ctx, g)
				<-ctx.Done()
				return driver.Grant{}, ctx.Err()
			}
			return g, err
		}}
	}),
}, {
	name:  "Start is read when the reply comes",
	rules: []string{"StartIsBeforeRequest"},
	outside: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			g, err := b.Acquire(ctx, req)
			g.Start = time.Now()
			return g, err
		}, renew: func(ctx ctx, grants []driver.Grant) []driver.Renewal {
			out := b.Renew(ctx, grants)
			for i := range out {
				out[i].Start = time.Now()
			}
			return out
		}}
	}),
}, {
	name:  "Start of a pushed grant is when the wait began",
	rules: []string{"WaitOutlivesTTL"},
	outside: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			start := time.Now()
			g, err := b.Acquire(ctx, req)
			g.Start = start
			return g, err
		}}
	}),
}}

// scaled is a server that counts another TTL than it tells.
func scaled(scale func(time.Duration) time.Duration) func(*world) func(driver.Backend) driver.Backend {
	return hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			told := req.TTL
			req.TTL = scale(told)
			g, err := b.Acquire(ctx, req)
			g.TTL = told
			return g, err
		}, renew: func(ctx ctx, grants []driver.Grant) []driver.Renewal {
			out := b.Renew(ctx, grants)
			for i := range out {
				out[i].TTL = grants[i].TTL
			}
			return out
		}}
	})
}
