package fencelock_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

const base fencing.Token = 2_000_000_000_000_000

// Every token that leaves the client has the base, and none that goes back to the backend.
func TestTokenBase(t *testing.T) {
	bubble(t, func(t *testing.T) {
		space := mem.NewSpace()
		b := newFaulty(space)
		var mu sync.Mutex
		back := make(map[string]fencing.Token)
		note := func(call string, g driver.Grant) {
			mu.Lock()
			defer mu.Unlock()
			back[call] = g.Token
		}
		b.onRenew(func(ctx context.Context, grants []driver.Grant) []driver.Renewal {
			note("renew", grants[0])
			return b.Backend.Renew(ctx, grants)
		})
		b.onRelease(func(ctx context.Context, g driver.Grant) error {
			note("release", g)
			return b.Backend.Release(ctx, g)
		})
		told := make(map[fencelock.EventKind]fencing.Token)
		c := open(t, b, &fencelock.Options{TokenBase: base, Observer: observerFunc(func(e fencelock.Event) {
			mu.Lock()
			defer mu.Unlock()
			told[e.Kind] = e.Token
		})})

		lease := lock(t, c, "k")
		bare, err := mem.New(space).Inspect(t.Context(), "k")
		if err != nil || !bare.Held() {
			t.Fatalf("the backend's Inspect = %+v, %v", bare, err)
		}
		want := base + bare.Holders[0].Token
		if lease.Token() != want {
			t.Errorf("Lease.Token = %v, want %v", lease.Token(), want)
		}
		if s, err := c.Inspect(t.Context(), "k"); err != nil || !s.Held() || s.Holders[0].Token != want {
			t.Errorf("Inspect = %+v, %v; want the token %v", s, err, want)
		}
		time.Sleep(fencelock.DefaultTTL) // renewed by then
		unlock(t, lease)
		if s, err := c.Inspect(t.Context(), "k"); err != nil || s.Held() {
			t.Errorf("Inspect of a free key = %+v, %v; want no token", s, err)
		}
		lost := lock(t, c, "lost")
		if _, err := c.Evict(t.Context(), "lost", ""); err != nil {
			t.Fatalf("Evict: %v", err)
		}
		<-lost.Done()
		_ = lost.Unlock(t.Context())
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		for _, kind := range []fencelock.EventKind{fencelock.EventAcquired, fencelock.EventUnlocked, fencelock.EventLost} {
			if told[kind] < want {
				t.Errorf("%v was told with the token %v, want %v or more", kind, told[kind], want)
			}
		}
		for _, call := range []string{"renew", "release"} {
			if g := back[call]; g == 0 || g >= base {
				t.Errorf("%s got the token %v, want the backend's own", call, g)
			}
		}
	})
}

// A token that would not be one is not handed out, and its lock does not stay.
func TestTokenBaseTooHigh(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const most = 1<<63 - 1
		for _, test := range []struct {
			base, granted fencing.Token
			ok            bool
		}{
			{1 << 62, most - 1<<62, true},
			{1 << 62, most - 1<<62 + 1, false},
			{1, most, false},
			{0, most, true},
			{1 << 62, most, false},
		} {
			b := newFaulty(mem.NewSpace())
			b.onAcquire(func(ctx context.Context, req driver.Request) (driver.Grant, error) {
				g, err := b.Backend.Acquire(ctx, req)
				g.Token = test.granted
				return g, err
			})
			b.onRelease(func(ctx context.Context, g driver.Grant) error {
				return b.Backend.Release(ctx, driver.Grant{Key: g.Key, AttemptID: g.AttemptID}) // mem knows it by another token
			})
			c := open(t, b, &fencelock.Options{TokenBase: test.base})
			lease, err := c.Lock(t.Context(), "k")
			if test.ok {
				if err != nil || lease.Token() != test.base+test.granted {
					t.Errorf("base %v, granted %v: %v", test.base, test.granted, err)
					continue
				}
				unlock(t, lease)
				continue
			}
			if err == nil {
				t.Errorf("base %v, granted %v: got %v, want an error", test.base, test.granted, lease.Token())
				continue
			}
			if !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), "token_base=") || !strings.Contains(err.Error(), test.granted.String()) {
				t.Errorf("base %v, granted %v: %v; want ErrInvalid, the token and token_base=", test.base, test.granted, err)
			}
			synctest.Wait() // for the janitor
			free(t, c, "k")
		}
	})
}

func TestTokenBaseInURL(t *testing.T) {
	for _, test := range []struct {
		url  string
		opts fencelock.Options
		want fencing.Token
		says string // of the error
	}{
		{"hosts://h?token_base=2000000000000000&durable=true", fencelock.Options{}, base, ""},
		{"hosts://h?durable=true", fencelock.Options{TokenBase: base}, base, ""},
		{"hosts://h?token_base=2000000000000000", fencelock.Options{TokenBase: base}, base, ""},
		{"hosts://h?token_base=0", fencelock.Options{}, 0, ""},
		{"hosts://h?token_base=4611686018427387904", fencelock.Options{}, 1 << 62, ""},
		{"hosts://h?token_base=4611686018427387905", fencelock.Options{}, 0, "the largest is 4611686018427387904"},
		{"hosts://h", fencelock.Options{TokenBase: 1<<62 + 1}, 0, "Options.TokenBase is 4611686018427387905"},
		{"hosts://h?token_base=1", fencelock.Options{TokenBase: 2}, 0, "Options.TokenBase is 2, and the URL says token_base=1"},
		{"hosts://h?token_base=1&token_base=1", fencelock.Options{}, 0, "more than once"},
		{"hosts://h?token_base=", fencelock.Options{}, 0, "decimal number"},
		{"hosts://h?token_base=2e15", fencelock.Options{}, 0, `"2e15"`},
		{"hosts://h?token_base=-1", fencelock.Options{}, 0, `"-1"`},
		{"hosts://h?token_base=99999999999999999999", fencelock.Options{}, 0, "decimal number"},
		{"mem://?token_bas=1", fencelock.Options{}, 0, `"token_bas"`},
	} {
		test.opts.Logger = quiet()
		c, err := fencelock.Open(t.Context(), test.url, &test.opts)
		if test.says != "" {
			if !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("Open(%q, base %v): %v; want ErrInvalid that says %q", test.url, test.opts.TokenBase, err, test.says)
			}
			continue
		}
		if err != nil {
			t.Errorf("Open(%q): %v", test.url, err)
			continue
		}
		if openedHosts.Query().Has("token_base") {
			t.Errorf("Open(%q): the backend got %q", test.url, openedHosts.RawQuery)
		}
		lease := lock(t, c, "k")
		if got := lease.Token(); got <= test.want || got > test.want+100 {
			t.Errorf("Open(%q): the first token is %v, want little more than %v", test.url, got, test.want)
		}
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}
