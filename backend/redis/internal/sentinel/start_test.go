package sentinel

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Where no majority names a master, Start says why, and whether it is worth another try.
func TestStartSaysWhy(t *testing.T) {
	for name, tc := range map[string]struct {
		breaks func(g *group)
		kind   error
		says   []string
		within time.Duration
	}{
		"nobody": {func(g *group) { g.change(func(f *fake) { f.down = true }, all...) }, driver.ErrUnavailable, []string{"no majority of the 3", "0 of them", s1, s2, s3, "refused"}, 0},
		"one of three": {
			func(g *group) { g.change(func(f *fake) { f.down = true }, s1, s3) }, driver.ErrUnavailable,
			[]string{"no majority of the 3", "1 of them", s1 + ": ", "refused", s2 + " names " + old},
			0,
		},
		"silent": {func(g *group) { g.change(func(f *fake) { f.silent = true }, all...) }, driver.ErrUnavailable, []string{"within 1s"}, 2 * askTimeout},
		"another name": {
			func(g *group) { g.change(func(f *fake) { f.master = "" }, all...) }, driver.ErrInvalid,
			[]string{`no master "m"`, "but another"},
			0,
		},
		"a server": {func(g *group) { g.change(func(f *fake) { f.is = "standalone" }, all...) }, driver.ErrInvalid, []string{"no Sentinel", "redis://"}, 0},
		"a Cluster": {
			func(g *group) { g.change(func(f *fake) { f.is = "cluster" }, all...) }, driver.ErrInvalid,
			[]string{"no Sentinel", "redis+cluster://"},
			0,
		},
		"a password": {
			func(g *group) { g.change(func(f *fake) { f.refuses = "NOAUTH Authentication required." }, all...) }, driver.ErrRefused,
			[]string{"NOAUTH", "sentinel_password_file="},
			0,
		},
		"permissions": {
			func(g *group) {
				g.change(func(f *fake) { f.refuses = "NOPERM no permissions to run 'sentinel|myid'" }, all...)
			}, driver.ErrRefused,
			[]string{"+sentinel|myid"},
			0,
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGroup()
			tc.breaks(g)
			watching(t, g, all, func(t *testing.T, w *Watch, m *moves) {
				began := time.Now()
				_, err := w.Start(t.Context())
				for _, kind := range []error{driver.ErrUnavailable, driver.ErrInvalid, driver.ErrRefused} {
					if errors.Is(err, kind) != errors.Is(tc.kind, kind) {
						t.Errorf("%v: want %v", err, tc.kind)
					}
				}
				for _, says := range tc.says {
					if err == nil || !strings.Contains(err.Error(), says) {
						t.Errorf("%v: want it to say %q", err, says)
					}
				}
				if took := time.Since(began); took > tc.within {
					t.Errorf("it took %v", took)
				}
				m.want(t)
			})
		})
	}
}

// Start waits for the end of a fail-over, as long as its context lasts.
func TestStartDuringAFailOver(t *testing.T) {
	g := newGroup()
	g.quietly(next, 2, s1)
	g.change(func(f *fake) { f.down = true }, s3)
	watching(t, g, all, func(t *testing.T, w *Watch, m *moves) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.Start(ctx); err == nil || !strings.Contains(err.Error(), "names "+next) {
			t.Errorf("Start = %v", err)
		}
	})
	watching(t, g, all, func(t *testing.T, w *Watch, m *moves) {
		time.AfterFunc(time.Second, func() { g.quietly(next, 2, s2) })
		if _, err := w.Start(t.Context()); err != nil {
			t.Errorf("Start = %v", err)
		}
		m.want(t, next)
	})
}

// What weakens the Sentinels is told; that one is away does not keep Start up for long.
func TestStartWarns(t *testing.T) {
	for says, how := range map[string]func(g *group){
		"": func(*group) {},
		"fewer than 3": func(g *group) {
			g.change(func(f *fake) { f.count, f.knows = 2, nil }, s1, s2)
			g.change(func(f *fake) { f.master = "" }, s3)
		},
		s3 + " does not answer": func(g *group) { g.change(func(f *fake) { f.down = true }, s3) },
		s3 + " watches no":      func(g *group) { g.change(func(f *fake) { f.master = "" }, s3) },
		"the quorum is 4":       func(g *group) { g.change(func(f *fake) { f.quorum = 4 }, all...) },
	} {
		g := newGroup()
		how(g)
		watching(t, g, all, func(t *testing.T, w *Watch, m *moves) {
			warnings, err := w.Start(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if text := strings.Join(warnings, "\n"); !strings.Contains(text, says) || says == "" && text != "" {
				t.Errorf("warnings %q, want %q", text, says)
			}
			m.want(t, old)
		})
	}
	g := newGroup()
	g.change(func(f *fake) { f.silent = true }, s3)
	watching(t, g, all, func(t *testing.T, w *Watch, m *moves) {
		began := time.Now()
		warnings, err := w.Start(t.Context())
		if err != nil || time.Since(began) > 300*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if len(warnings) != 1 || !strings.Contains(warnings[0], s3+" does not answer: no answer in time") {
			t.Errorf("warnings %q of a Sentinel that is silent", warnings)
		}
	})
}
