package drivertest

import (
	"errors"
	"path"
	"strings"
	"time"

	"github.com/fencelock/fencelock/driver"
)

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
