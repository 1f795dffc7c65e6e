package drivertest

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var renewMutants = []mutant{{
	name:  "renewal takes a lapsed lock again",
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
