package drivertest

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/fencelock/fencelock/driver"
)

var listMutants = []mutant{{
	name:   "ListHeld finds nothing",
	rules:  []string{"ListHeld", "ListHeldOnlyPrefix", "ListHeldPages"},
	mutate: listing(func(p *driver.Page) { p.Locks = nil }),
}, {
	name:  "ListHeld lists what this client holds only",
	rules: []string{"ListHeld"},
	mutate: hook(func(b driver.Backend) hooked {
		var mine sync.Map
		return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
			mine.Store(req.AttemptID, true)
			return b.Acquire(ctx, req)
		}, list: func(ctx ctx, prefix, cursor string, limit int) (driver.Page, error) {
			p, err := b.ListHeld(ctx, prefix, cursor, limit)
			p.Locks = slices.DeleteFunc(p.Locks, func(s driver.Status) bool {
				_, ok := mine.Load(s.Holders[0].AttemptID)
				return !ok
			})
			return p, err
		}}
	}),
}, {
	name:   "ListHeld shows no tokens",
	rules:  []string{"ListHeld"},
	mutate: listingEach(func(s *driver.Status) { s.Holders[0].Token = 0 }),
}, {
	name:   "ListHeld shows no meta",
	rules:  []string{"ListHeld"},
	mutate: listingEach(func(s *driver.Status) { s.Holders[0].Meta = "" }),
}, {
	name:   "ListHeld shows who waits instead of -1",
	rules:  []string{"ListHeld"},
	mutate: listingEach(func(s *driver.Status) { s.Waiters = 0 }),
}, {
	name:  "ListHeld lists keys whose locks have ended",
	rules: []string{"ListHeld"},
	mutate: func(*world) func(driver.Backend) driver.Backend {
		var mu sync.Mutex
		seen := make(map[string]driver.Grant)
		return func(b driver.Backend) driver.Backend {
			return hooked{Backend: b, acquire: func(ctx ctx, req driver.Request) (driver.Grant, error) {
				g, err := b.Acquire(ctx, req)
				if err == nil {
					mu.Lock()
					defer mu.Unlock()
					seen[req.Key] = g
				}
				return g, err
			}, list: func(ctx ctx, prefix, cursor string, limit int) (driver.Page, error) {
				p, err := b.ListHeld(ctx, prefix, cursor, limit)
				mu.Lock()
				defer mu.Unlock()
				for key, g := range seen {
					if strings.HasPrefix(key, prefix) && !slices.ContainsFunc(p.Locks, func(s driver.Status) bool { return s.Key == key }) {
						p.Locks = append(p.Locks, driver.Status{Key: key, Waiters: -1, Holders: []driver.Holder{{AttemptID: g.AttemptID, Token: g.Token}}})
					}
				}
				return p, err
			}}
		}
	},
}, {
	name:  "a lock that others wait for is not listed",
	rules: []string{"ListHeld"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, list: func(ctx ctx, prefix, cursor string, limit int) (driver.Page, error) {
			p, err := b.ListHeld(ctx, prefix, cursor, limit)
			p.Locks = slices.DeleteFunc(p.Locks, func(s driver.Status) bool {
				now, err := b.Inspect(ctx, s.Key)
				return err == nil && now.Waiters > 0
			})
			return p, err
		}}
	}),
}, {
	name:   "ListHeld takes the prefix for a pattern",
	rules:  []string{"ListHeldOnlyPrefix"},
	mutate: matching(func(key, prefix string) bool { ok, err := path.Match(prefix+"*", key); return ok || err != nil }),
}, {
	name:  "ListHeld takes the prefix for a folder",
	rules: []string{"ListHeldOnlyPrefix"},
	mutate: matching(func(key, prefix string) bool {
		return key == prefix || prefix == "" || strings.HasPrefix(key, strings.TrimSuffix(prefix, "/")+"/")
	}),
}, {
	name:   "ListHeld leaves out the key that is the prefix",
	rules:  []string{"ListHeldOnlyPrefix"},
	mutate: matching(func(key, prefix string) bool { return key != prefix && strings.HasPrefix(key, prefix) }),
}, {
	name:  "ListHeld does not tell cases apart",
	rules: []string{"ListHeldOnlyPrefix"},
	mutate: matching(func(key, prefix string) bool {
		return strings.HasPrefix(strings.ToLower(key), strings.ToLower(prefix))
	}),
}, {
	name:   "ListHeld ignores the prefix",
	rules:  []string{"ListHeldOnlyPrefix"},
	mutate: matching(func(string, string) bool { return true }),
}, {
	name:   "ListHeld of an empty prefix finds nothing",
	rules:  []string{"ListHeldOnlyPrefix"},
	mutate: matching(func(key, prefix string) bool { return prefix != "" && strings.HasPrefix(key, prefix) }),
}, {
	name:   "ListHeld lists no long keys",
	rules:  []string{"ListHeldOnlyPrefix"},
	mutate: matching(func(key, prefix string) bool { return len(key) < 512 && strings.HasPrefix(key, prefix) }),
}, {
	name:  "a page has more than limit",
	rules: []string{"ListHeldPages"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, list: func(ctx ctx, prefix, cursor string, limit int) (driver.Page, error) {
			return b.ListHeld(ctx, prefix, cursor, 2*limit)
		}}
	}),
}, {
	name:   "only the first page is there",
	rules:  []string{"ListHeldPages"},
	mutate: listing(func(p *driver.Page) { p.Next = "" }),
}, {
	name:  "the first page comes again and again",
	rules: []string{"ListHeldPages"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, list: func(ctx ctx, prefix, _ string, limit int) (driver.Page, error) {
			return b.ListHeld(ctx, prefix, "", limit)
		}}
	}),
}, {
	name:  "the last of each page is left out",
	rules: []string{"ListHeldPages"},
	mutate: listing(func(p *driver.Page) {
		if p.Next != "" && len(p.Locks) > 0 {
			p.Locks = p.Locks[:len(p.Locks)-1]
		}
	}),
}, {
	name:  "the cursor counts the locks of the pages before",
	rules: []string{"ListHeldPages"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, list: func(ctx ctx, prefix, cursor string, limit int) (driver.Page, error) {
			all, err := everything(ctx, b)
			if err != nil {
				return driver.Page{}, err
			}
			all = slices.DeleteFunc(all, func(s driver.Status) bool { return !strings.HasPrefix(s.Key, prefix) })
			from := 0
			if cursor != "" {
				if from, err = strconv.Atoi(cursor); err != nil {
					return driver.Page{}, fmt.Errorf("%w: cursor", driver.ErrInvalid)
				}
			}
			from = min(from, len(all))
			to := min(from+limit, len(all))
			p := driver.Page{Locks: all[from:to]}
			if to < len(all) {
				p.Next = strconv.Itoa(to)
			}
			return p, nil
		}}
	}),
}, {
	name:  "a cursor that is nonsense is taken for a server that is away",
	rules: []string{"ListHeldPages"},
	mutate: hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, list: func(ctx ctx, prefix, cursor string, limit int) (driver.Page, error) {
			p, err := b.ListHeld(ctx, prefix, cursor, limit)
			if errors.Is(err, driver.ErrInvalid) {
				err = driver.ErrUnavailable
			}
			return p, err
		}}
	}),
}, {
	name:   "Evict of an attempt ends the grant of any holder",
	rules:  []string{"EvictOnlyThatAttempt"},
	mutate: evicting(func(ctx ctx, b driver.Backend, key, _ string) error { return b.Evict(ctx, key, "") }),
}, {
	name:  "Evict of an attempt looks first and evicts later",
	rules: []string{"EvictOnlyThatAttempt"},
	mutate: evicting(func(ctx ctx, b driver.Backend, key, attemptID string) error {
		s, err := b.Inspect(ctx, key)
		if attemptID != "" && (err != nil || !s.Held() || s.Holders[0].AttemptID != attemptID) {
			return cmp.Or(err, driver.ErrNotHeld)
		}
		if err := pause(ctx, 10*delay); err != nil { // longer than the rule waits before the release
			return err
		}
		return b.Evict(ctx, key, "")
	}),
}, {
	name:  "Evict of an attempt ends its wait, too",
	rules: []string{"EvictOnlyThatAttempt"},
	mutate: evicting(func(ctx ctx, b driver.Backend, key, attemptID string) error {
		err := b.Evict(ctx, key, attemptID)
		if errors.Is(err, driver.ErrNotHeld) && attemptID != "" {
			return b.Release(ctx, driver.Grant{Key: key, AttemptID: attemptID})
		}
		return err
	}),
}, {
	name:  "Evict of an attempt compares the beginning of its name",
	rules: []string{"EvictOnlyThatAttempt"},
	mutate: evicting(func(ctx ctx, b driver.Backend, key, attemptID string) error {
		if s, err := b.Inspect(ctx, key); err == nil && s.Held() && attemptID != "" && strings.HasPrefix(s.Holders[0].AttemptID, attemptID) {
			attemptID = s.Holders[0].AttemptID
		}
		return b.Evict(ctx, key, attemptID)
	}),
}, {
	name:  "Evict of an attempt does nothing and says yes",
	rules: []string{"EvictOnlyThatAttempt"},
	mutate: evicting(func(ctx ctx, b driver.Backend, key, attemptID string) error {
		if attemptID != "" {
			return nil
		}
		return b.Evict(ctx, key, attemptID)
	}),
}}

// listing changes the pages of ListHeld.
func listing(f func(*driver.Page)) func(*world) func(driver.Backend) driver.Backend {
	return hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, list: func(ctx ctx, prefix, cursor string, limit int) (driver.Page, error) {
			p, err := b.ListHeld(ctx, prefix, cursor, limit)
			f(&p)
			return p, err
		}}
	})
}

// listingEach changes each lock of the pages of ListHeld.
func listingEach(f func(*driver.Status)) func(*world) func(driver.Backend) driver.Backend {
	return listing(func(p *driver.Page) {
		for i := range p.Locks {
			f(&p.Locks[i])
		}
	})
}

// matching is a ListHeld that compares keys with the prefix in its own way. It has one page.
func matching(match func(key, prefix string) bool) func(*world) func(driver.Backend) driver.Backend {
	return hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, list: func(ctx ctx, prefix, _ string, _ int) (driver.Page, error) {
			all, err := everything(ctx, b)
			return driver.Page{Locks: slices.DeleteFunc(all, func(s driver.Status) bool { return !match(s.Key, prefix) })}, err
		}}
	})
}

// everything lists all locks, in the order of their keys.
func everything(ctx ctx, b driver.Backend) ([]driver.Status, error) {
	p, err := b.ListHeld(ctx, "", "", 1_000_000)
	return p.Locks, err
}

func evicting(f func(ctx ctx, b driver.Backend, key, attemptID string) error) func(*world) func(driver.Backend) driver.Backend {
	return hook(func(b driver.Backend) hooked {
		return hooked{Backend: b, evict: func(ctx ctx, key, attemptID string) error { return f(ctx, b, key, attemptID) }}
	})
}
