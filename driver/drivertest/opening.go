package drivertest

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var openRules = []Rule{{
	Name:     "OpenWorks",
	Sentence: "The registered URL opens a backend that is what the harness wants.",
	hook:     "Open",
	check: func(r *fixture) {
		b, err := r.open(r.h.URL)
		if err != nil {
			r.Fatalf("Open: %v", err)
		}
		defer func() { _ = b.Close() }()
		if got, want := b.Info(), r.h.Want; got.Name != want.Name || got.Guarantee != want.Guarantee || got.Features != want.Features {
			r.Errorf("Info is %+v, want %+v", got, want)
		}
		key := r.key()
		r.mustRelease(b, r.mustLock(b, key))
	},
}, {
	Name:     "OpenRefusesNonsense",
	Sentence: "Open refuses unknown query parameters by name, and says what is wrong with any other URL.",
	hook:     "Open",
	check: func(r *fixture) {
		bad := maps.Clone(r.h.BadURLs)
		if bad == nil {
			bad = make(map[string]string)
		}
		bad[with(r.h.URL, "drivertest_typo=1")] = "drivertest_typo"
		for _, raw := range slices.Sorted(maps.Keys(bad)) {
			b, err := r.open(raw)
			switch word := bad[raw]; {
			case err == nil:
				r.Errorf("Open(%s) worked, want an error that mentions %q", raw, word)
				_ = b.Close()
			case !strings.Contains(err.Error(), word):
				r.Errorf("Open(%s) = %v, want an error that mentions %q", raw, err, word)
			}
		}
	},
}, {
	Name:     "OpenHidesPasswords",
	Sentence: "The URL is never shown in an error: it has a password.",
	hook:     "Open",
	check: func(r *fixture) {
		const password = "hunter2-s3cret"
		urls := append(slices.Sorted(maps.Keys(r.h.BadURLs)), r.h.URL)
		for _, raw := range urls {
			u, err := url.Parse(with(raw, "drivertest_typo=1"))
			if err != nil {
				continue // fencelock.Open gets no further either
			}
			u.User = url.UserPassword("drivertest", password)
			if b, err := r.open(u.String()); err == nil {
				_ = b.Close()
			} else if strings.Contains(err.Error(), password) {
				r.Errorf("the error for a bad URL shows its password: %v", err)
			}
		}
	},
}, {
	Name: "OpenSaysWhy",
	Sentence: "Open does not wait for a server that is away: within 5 s it returns an error that wraps ErrUnavailable or " +
		"ErrRefused and tells the reason, also where its context never ends.",
	hook: "Away",
	check: func(r *fixture) {
		const most = 5 * time.Second
		for _, raw := range slices.Sorted(maps.Keys(r.h.Away)) {
			endless, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
			opened := make(chan error, 1)
			began := time.Now()
			go func() {
				b, err := r.openIn(endless, raw)
				if err == nil {
					_ = b.Close()
				}
				opened <- err
			}()
			var err error
			select {
			case err = <-opened:
			case <-time.After(most + r.slack):
				r.Errorf("Open(%s) has not returned after %v", raw, time.Since(began))
				cancel()
				if <-opened == nil {
					r.Logf("Open(%s) worked in the end", raw)
				}
				continue
			}
			cancel()
			switch word := r.h.Away[raw]; {
			case err == nil:
				r.Errorf("Open(%s) worked, want an error that mentions %q", raw, word)
			case !errors.Is(err, driver.ErrUnavailable) && !errors.Is(err, driver.ErrRefused):
				r.Errorf("Open(%s) = %v, want an error that wraps ErrUnavailable or ErrRefused", raw, err)
			case !strings.Contains(err.Error(), word):
				r.Errorf("Open(%s) = %v, want an error that mentions %q", raw, err, word)
			}
		}
	},
}}

func (r *fixture) open(raw string) (driver.Backend, error) { return r.openIn(r.soon(), raw) }

func (r *fixture) openIn(ctx context.Context, raw string) (driver.Backend, error) {
	u, err := url.Parse(raw)
	if err != nil {
		r.Fatalf("harness: %v", err)
	}
	return r.h.Open(ctx, u, driver.OpenOptions{Logger: slog.New(slog.DiscardHandler)})
}

// with adds a query parameter to a URL.
func with(raw, param string) string {
	if strings.Contains(raw, "?") {
		return raw + "&" + param
	}
	return raw + "?" + param
}
