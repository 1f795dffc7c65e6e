package scenario

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/wire"
)

// hall is a lock server in memory: a channel of one for each key.
type hall struct {
	mu     sync.Mutex
	keys   map[string]chan struct{}
	writes float64
}

func (h *hall) of(key string) chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.keys[key] == nil {
		h.keys[key] = make(chan struct{}, 1)
	}
	return h.keys[key]
}

func (h *hall) wrote() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.writes++
}

func (h *hall) Lock(ctx context.Context, key string) (contest.Held, error) {
	h.wrote() // to get in line
	select {
	case h.of(key) <- struct{}{}:
		return &hallHeld{h, key}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (h *hall) Close() error { return nil }

type hallHeld struct {
	hall *hall
	key  string
}

func (l *hallHeld) Release(context.Context) error {
	l.hall.wrote()
	<-l.hall.of(l.key)
	return nil
}

func newEnv() *Env {
	h := &hall{keys: map[string]chan struct{}{}}
	open := func(context.Context, contest.Options) (contest.Client, error) { return h, nil }
	return &Env{
		Contestants: []contest.Contestant{
			{Name: "ours", Open: open},
			{Name: "reentrant", Open: open, Reentrant: true},
			{Name: "herd", Open: open, MaxLine: 2},
		},
		TTL: time.Second, Rounds: 1, Limit: time.Minute,
		Sizes:    Sizes{Queue: []int{2, 4}},
		Protocol: wire.RESP,
		Meter: &Meter{Writes: "writes", Read: func(context.Context) (Load, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			return Load{Writes: h.writes, Watches: 7}, nil
		}},
		Progress: io.Discard, Run: new(report.Run),
	}
}

func (e *Env) median(scenario, name, contestant, metric string) float64 {
	return e.Run.Find(report.ID{Scenario: scenario, Case: name, Contestant: contestant, Metric: metric}).Median()
}

func (e *Env) noted(contestant, text string) bool {
	for _, n := range e.Run.Notes {
		if n.Contestant == contestant && strings.Contains(n.Text, text) && !n.Failed {
			return true
		}
	}
	return false
}

func TestAloneAsksTheServer(t *testing.T) {
	e := newEnv()
	alone(t.Context(), e)
	if got := e.median(Alone, AloneCase, "ours", "writes"); got != 2 {
		t.Errorf("%v writes a pair, want 2; notes: %+v", got, e.Run.Notes)
	}
}

func TestQueueAsksTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv()
		queue(t.Context(), e)
		for _, n := range e.Sizes.Queue {
			// One to get in line and one to release, the holder's release not being charged to the waiters.
			if got := e.median(Queue, QueueCase(n), "ours", "writes"); got != 2 {
				t.Errorf("%v writes per hand-off with %d waiters, want 2; notes: %+v", got, n, e.Run.Notes)
			}
			if got := e.median(Queue, QueueCase(n), "ours", serverWatches); got != 0 {
				t.Errorf("%v watches for each of %d waiters, want 0: none was added", got, n)
			}
		}
	})
}

func TestQueueLeavesOutThoseForWhomItIsTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv()
		queue(t.Context(), e)
		if e.Run.Find(report.ID{Scenario: Queue, Case: QueueCase(2), Contestant: "herd", Metric: HandOff}) == nil {
			t.Error("left out of a line of 2")
		}
		if e.Run.Find(report.ID{Scenario: Queue, Case: QueueCase(4), Contestant: "herd", Metric: HandOff}) != nil {
			t.Error("not left out of a line of 4")
		}
		if !e.noted("herd", "a line of 4") {
			t.Errorf("nothing says why: %+v", e.Run.Notes)
		}
	})
}

func TestGoroutinesLeaveOutReentrantLocks(t *testing.T) {
	e := newEnv()
	goroutines(t.Context(), e)
	if e.Run.Find(report.ID{Scenario: Goroutines, Case: GoroutinesCase, Contestant: "ours", Metric: HandOff}) == nil {
		t.Errorf("ours was not measured: %+v", e.Run.Notes)
	}
	if e.Run.Find(report.ID{Scenario: Goroutines, Case: GoroutinesCase, Contestant: "reentrant", Metric: HandOff}) != nil {
		t.Error("the reentrant one was measured")
	}
	if !e.noted("reentrant", "all hold the lock at once") {
		t.Errorf("nothing says why: %+v", e.Run.Notes)
	}
}
