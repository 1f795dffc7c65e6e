package drivertest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"runtime/pprof"
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

var closeRules = []Rule{{
	Name:     "CloseLeavesGrants",
	Sentence: "Close does not release grants; calls under way end with an error; it may be called twice.",
	check: func(r *fixture) {
		a, b := r.clients()
		key, busy := r.key(), r.key()
		g := r.mustLock(a, key)
		other := r.mustLock(b, busy)
		w := r.startWait(a, busy)
		r.waitQueued(b, busy, 1)
		for range 2 {
			if _, ok := r.bounded(a.Close); !ok {
				r.Fatalf("Close did not return within %v", r.slack)
			}
		}
		switch {
		case !w.ended(r.slack):
			r.Errorf("a waiting Acquire did not return within %v after Close", r.slack)
		case w.err == nil:
			r.Errorf("a waiting Acquire was granted by Close")
		case definitive(w.err):
			r.Errorf("a waiting Acquire ended with %v after Close: that is a guess", w.err)
		}
		r.wantHeldByOther(b, key, "its holder's client was closed")
		r.wantShown(b, g, r.Name(), 0)
		for name, call := range calls(a, g, func(driver.Grant) {}) {
			switch err, ok := r.bounded(func() error { return call(r.soon()) }); {
			case !ok:
				r.Errorf("%s on a closed client did not return within %v", name, r.slack)
			case err == nil || definitive(err):
				r.Errorf("%s on a closed client = %v, want another error", name, err)
			}
		}
		r.wantHeldByOther(b, key, "its holder's client was closed")
		r.mustEvict(b, key)
		r.mustRelease(b, other)
	},
}}

// definitive reports whether an error claims to know who holds the key.
func definitive(err error) bool {
	return errors.Is(err, driver.ErrHeld) || errors.Is(err, driver.ErrNotHeld)
}

var goroutineRules = []Rule{{
	Name:     "NoGoroutineLeaks",
	Sentence: "A backend leaks no goroutine past Close, nor with each wait that was cancelled.",
	check: func(r *fixture) {
		r.exercise(r.client()) // what a library starts once and keeps is started now
		label := "goroutines/" + newAttemptID()
		during := make(chan int)
		end := make(chan struct{})
		go pprof.Do(r.Context(), pprof.Labels("drivertest", label), func(context.Context) {
			defer close(end)
			b := r.h.New(r.recorder)
			defer func() { _ = b.Close() }()
			r.exercise(b)
			during <- labelled(label)
			for range 20 {
				r.exercise(b)
			}
			during <- labelled(label)
		})
		var before, after int
		for _, n := range []*int{&before, &after} {
			select {
			case *n = <-during:
			case <-end:
				return // a failure that has been told
			}
		}
		<-end
		if after > before+10 {
			r.Errorf("%d goroutines after one cancelled wait, %d after twenty more", before, after)
		}
		left := labelled(label)
		for end := time.Now().Add(r.slack); left > 0 && time.Now().Before(end); left = labelled(label) {
			_ = pause(r.Context(), r.slack/20) // counting is dear
		}
		if left > 0 {
			r.Errorf("%d goroutines are left after Close", left)
			r.Logf("%s", goroutines())
		}
	},
}}

// exercise takes a lock, loses one, and cancels a wait.
func (r *fixture) exercise(b driver.Backend) {
	key := r.key()
	g := r.mustLock(b, key)
	r.wantHeldByOther(b, key, "held")
	w := r.startWait(b, key)
	r.waitQueued(b, key, 1)
	r.mustCancel(w)
	r.wantNotHeld(b, driver.Grant{Key: key, AttemptID: w.req.AttemptID}, "a waiter")
	r.mustRelease(b, g)
}

// labelled counts the goroutines that were started under a label. Unlike
// runtime.NumGoroutine it is not disturbed by what else goes on in the process.
func labelled(label string) (n int) {
	_, groups, _ := bytes.Cut(goroutines(), []byte("\n")) // the first line is a title
	for _, group := range bytes.Split(groups, []byte("\n\n")) {
		if bytes.Contains(group, []byte(label)) {
			var count int
			if _, err := fmt.Sscanf(string(group), "%d @", &count); err == nil {
				n += count
			}
		}
	}
	return n
}

func goroutines() []byte {
	var buf bytes.Buffer
	_ = pprof.Lookup("goroutine").WriteTo(&buf, 1)
	return buf.Bytes()
}
