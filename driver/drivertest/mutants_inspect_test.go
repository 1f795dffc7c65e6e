package drivertest

import (
	"errors"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var inspectMutants = []mutant{{
	name:  "Inspect counts no waiters",
	rules: []string{"Inspect"},
	mutate: inspecting(func(s driver.Status) driver.Status {
		if s.Held() {
			s.Waiters = -1
		}
		return s
	}),
}, {
	name:  "Inspect says who held a free key",
	rules: []string{"Inspect", "ExpiryFrees", "LeavesNothing"},
	mutate: inspecting(func(s driver.Status) driver.Status {
		if !s.Held() {
			s.Holders = []driver.Holder{{AttemptID: "somebody"}}
		}
		return s
	}),
}, {
	name:  "Inspect shows no token",
	rules: []string{"Inspect"},
	mutate: inspecting(func(s driver.Status) driver.Status {
		if s.Held() {
			s.Holders[0].Token = 0
		}
		return s
	}),
}, {
	name:  "meta is cut",
	rules: []string{"InspectShowsHolder", "Limits"},
	mutate: inspecting(func(s driver.Status) driver.Status {
		if s.Held() {
			s.Holders[0].Meta = s.Holders[0].Meta[:min(len(s.Holders[0].Meta), 255)]
		}
		return s
	}),
}, {
	name:  "Evict does nothing",
	rules: []string{"Evict", "TokensRiseThroughEviction", "RenewDoesNotResurrect"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, evict: func(ctx ctx, key, _ string) error {
			if s, err := b.Inspect(ctx, key); err != nil || !s.Held() {
				return errors.Join(driver.ErrNotHeld, err)
			}
			return nil
		}}
	}),
}, {
	name:   "Lost is never called",
	rules:  []string{"Evict"},
	mutate: asking(func(req *driver.Request) { req.Lost = nil }),
}, {
	name:   "Lost is called from the start",
	rules:  []string{"Evict", "LostIsNoRumour"},
	mutate: asking(func(req *driver.Request) { req.Lost(errors.New("by mistake")) }),
}, {
	name:  "Lost is called at release",
	rules: []string{"LostIsNoRumour"},
	mutate: hook(func(b driver.Backend) hooked {
		var told sync.Map // attempt to Request.Lost
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			told.Store(req.AttemptID, req.Lost)
			return b.Acquire(ctx, req)
		}, release: func(ctx ctx, g driver.Grant) error {
			if lost, ok := told.Load(g.AttemptID); ok {
				lost.(func(error))(errors.New("it is gone"))
			}
			return b.Release(ctx, g)
		}}
	}),
}}

func inspecting(f func(driver.Status) driver.Status) func(*world) func(driver.Backend) driver.Backend {
	return hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, inspect: func(ctx ctx, key string) (driver.Status, error) {
			s, err := b.Inspect(ctx, key)
			return f(s), err
		}}
	})
}

func asking(f func(*driver.Request)) func(*world) func(driver.Backend) driver.Backend {
	return hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			f(&req)
			return b.Acquire(ctx, req)
		}}
	})
}

var keyMutants = []mutant{
	folding("in lower case", strings.ToLower),
	folding("without spaces around", strings.TrimSpace),
	folding("as paths", path.Clean),
	folding("up to 255 bytes", func(k string) string { return k[:min(len(k), 255)] }),
	folding("up to 1,023 bytes", func(k string) string { return k[:min(len(k), 1023)] }),
	folding("as C strings", func(k string) string { s, _, _ := strings.Cut(k, "\x00"); return s }),
	folding("by their hash tag", func(k string) string {
		if _, tag, ok := strings.Cut(k, "{"); ok {
			if tag, _, ok := strings.Cut(tag, "}"); ok && tag != "" {
				return tag
			}
		}
		return k
	}),
	folding("by their first part", func(k string) string {
		if i := strings.Index(k, "/"); i > 0 {
			return k[:i]
		}
		return k
	}),
	folding("composed", func(k string) string { return strings.ReplaceAll(k, "e\u0301", "é") }),
	folding("unquoted", func(k string) string { return strings.ReplaceAll(k, "%2F", "/") }),
	{
		name:  "control characters are refused",
		rules: []string{"Keys"},
		mutate: hook(func(b driver.Backend) hooked {
			return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
				if strings.ContainsFunc(req.Key, func(c rune) bool { return c < ' ' }) {
					return driver.Grant{}, errors.New("bad key")
				}
				return b.Acquire(ctx, req)
			}}
		}),
	},
	{
		name:  "a long TTL is refused",
		rules: []string{"Limits"},
		mutate: hook(func(b driver.Backend) hooked {
			return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
				if req.TTL > time.Hour {
					return driver.Grant{}, errors.New("TTL too long")
				}
				return b.Acquire(ctx, req)
			}}
		}),
	},
}

func folding(how string, fold func(string) string) mutant {
	return mutant{
		name:  "keys are compared " + how,
		rules: []string{"Keys"},
		mutate: hook(func(b driver.Backend) hooked {
			return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
				key := req.Key
				req.Key = fold(key)
				g, err := b.Acquire(ctx, req)
				g.Key = key
				return g, err
			}, renew: func(ctx ctx, grants []driver.Grant) []driver.Renewal {
				folded := make([]driver.Grant, len(grants))
				for i, g := range grants {
					g.Key = fold(g.Key)
					folded[i] = g
				}
				return b.Renew(ctx, folded)
			}, release: func(ctx ctx, g driver.Grant) error {
				g.Key = fold(g.Key)
				return b.Release(ctx, g)
			}, inspect: func(ctx ctx, key string) (driver.Status, error) {
				return b.Inspect(ctx, fold(key))
			}, evict: func(ctx ctx, key, attemptID string) error {
				return b.Evict(ctx, fold(key), attemptID)
			}}
		}),
	}
}
