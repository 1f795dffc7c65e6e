package scenario

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/report"
)

// stage is what contestants stand on whose clients are fragile, each with a hall of its own.
type stage struct {
	env     *Env
	clients map[string]*fragile
	down    map[string]time.Duration // for which a failure lasts; 0: until it is mended
	fails   int
	mended  int
	failing error
}

func newStage(down map[string]time.Duration) *stage {
	s := &stage{env: newEnv(), clients: map[string]*fragile{}, down: down}
	s.env.Rounds, s.env.Contestants = 2, nil
	for _, name := range []string{"ours", "peer", "bare"} {
		f := &fragile{&hall{keys: map[string]chan struct{}{}}, make(chan struct{})}
		close(f.open)
		s.clients[name] = f
		c := contest.Contestant{Name: name, Open: func(context.Context, contest.Options) (contest.Client, error) { return f, nil }}
		if name != "bare" {
			s.env.Contestants = append(s.env.Contestants, c)
			continue
		}
		s.env.Takeovers = []Takeover{{Case: "lost", Bare: c, Victim: s.victim}}
	}
	return s
}

func (s *stage) victim(context.Context, int) (Victim, error) {
	var mend []func()
	return Victim{
		Has: func(key string) bool { return !strings.HasSuffix(key, "1") },
		Fail: func() error {
			s.fails++
			for name, f := range s.clients {
				open := make(chan struct{})
				f.mu.Lock()
				f.open = open
				f.mu.Unlock()
				if down := s.down[name]; down > 0 {
					time.AfterFunc(down, func() { close(open) })
				} else {
					mend = append(mend, func() { close(open) })
				}
			}
			return s.failing
		},
		Mend: func(context.Context) error {
			s.mended++
			for _, f := range mend {
				f()
			}
			return nil
		},
	}, nil
}

func (s *stage) figures(name, metric string) *report.Series {
	return s.env.Run.Find(report.ID{Scenario: Failover, Case: "lost", Contestant: name, Metric: metric})
}

func TestTakeoverIsMeasuredBesideTheBareClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(map[string]time.Duration{"ours": 700 * time.Millisecond, "bare": 500 * time.Millisecond})
		failover(t.Context(), s.env)
		if s.fails != 2 || s.mended != 2 {
			t.Errorf("%d failures, %d mended, want 2 of each; notes: %+v", s.fails, s.mended, s.env.Run.Notes)
		}
		if got := time.Duration(s.figures("bare", FailoverGap).Median()); got < 500*time.Millisecond || got > 500*time.Millisecond+2*takeoverPause {
			t.Errorf("the bare client had no grant for %v", got)
		}
		if late := s.figures("ours", FailoverLate).Median(); late < 180 || late > 220 {
			t.Errorf("ours came %v ms after the bare client, want 200", late)
		}
		// It is waited for, and then left out.
		if peer := s.figures("peer", FailoverGap); peer == nil || len(peer.Samples) != 1 || time.Duration(peer.Median()) < takeoverLimit {
			t.Errorf("who never came back: %+v", peer)
		}
		if s.env.Run.Failed("ours") || !s.env.Run.Failed("peer") {
			t.Errorf("notes: %+v", s.env.Run.Notes)
		}
		for name, f := range s.clients {
			for key := range f.keys {
				if strings.HasPrefix(key, "bench/takeover/") && strings.HasSuffix(key, "1") {
					t.Errorf("%s locked %s, which the victim does not have", name, key)
				}
			}
		}
	})
}

// Servers that do not come back say nothing of the contestants; the run has failed.
func TestTakeoverWhereTheServersFail(t *testing.T) {
	for name, spoil := range map[string]func(*stage){
		"no failure":        func(s *stage) { s.failing = errors.New("it does not die") },
		"nobody takes over": func(s *stage) { delete(s.down, "bare") },
		"no server that could fail": func(s *stage) {
			s.env.Takeovers[0].Victim = func(context.Context, int) (Victim, error) { return Victim{}, errors.New("none") }
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStage(map[string]time.Duration{"ours": time.Second, "peer": time.Second, "bare": time.Second})
				spoil(s)
				failover(t.Context(), s.env)
				if !s.env.Run.Failed("ours") || s.figures("ours", FailoverGap) != nil || s.fails > 1 {
					t.Errorf("%d failures; figures of ours: %+v; notes: %+v", s.fails, s.figures("ours", FailoverGap), s.env.Run.Notes)
				}
			})
		})
	}
}

func TestVictimNeedsMostOfALocksKeys(t *testing.T) {
	v := Victim{Has: func(key string) bool { return strings.HasPrefix(key, "here") }}
	for _, tt := range []struct {
		keys []string
		want bool
	}{
		{[]string{"here"}, true},
		{[]string{"there"}, false},
		{[]string{"here", "here2", "there"}, true},
		{[]string{"here", "there", "there2"}, false},
		{[]string{"here", "there"}, false},
	} {
		c := contest.Contestant{Keys: func(string) []string { return tt.keys }}
		if got := v.needs(c, "any"); got != tt.want {
			t.Errorf("%v: needs = %t", tt.keys, got)
		}
	}
	if !v.needs(contest.Contestant{}, "here") || v.needs(contest.Contestant{}, "there") {
		t.Error("a lock without keys of its own is not the key")
	}
}
