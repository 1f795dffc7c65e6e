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
		Sizes:    Sizes{Queue: []int{2, 4}, Contend: []int{2}},
		Protocol: wire.RESP,
		Meter: &Meter{Writes: "writes", Read: func(context.Context) (Load, error) {
			h.mu.Lock()
			defer h.mu.Unlock()
			return Load{Writes: h.writes, Watches: 7}, nil
		}},
		Progress: io.Discard, Run: new(report.Run),
	}
}

// computes has the server compute so long for each write, and tell of it.
func (e *Env) computes(d time.Duration) {
	read := e.Meter.Read
	e.Meter.CPU, e.Meter.Read = "CPU", func(ctx context.Context) (Load, error) {
		l, err := read(ctx)
		l.CPU = d * time.Duration(l.Writes)
		return l, err
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
	e.computes(3 * time.Microsecond)
	alone(t.Context(), e)
	for metric, want := range map[string]float64{"writes": 2, "CPU": 6000} {
		if got := e.median(Alone, AloneCase, "ours", metric); got != want {
			t.Errorf("%s: %v a pair, want %v; notes: %+v", metric, got, want, e.Run.Notes)
		}
	}
}

func TestTurnsHaveSeveralNeighbours(t *testing.T) {
	const n = 4
	before := map[int]map[int]bool{}
	for round := range n {
		seen := map[int]bool{}
		last := -1
		for i := range n {
			at := turn(i, round, n)
			seen[at] = true
			if last >= 0 {
				if before[at] == nil {
					before[at] = map[int]bool{}
				}
				before[at][last] = true
			}
			last = at
		}
		if len(seen) != n {
			t.Errorf("round %d: not everybody has a turn: %v", round, seen)
		}
	}
	for at := range n {
		if len(before[at]) < 2 {
			t.Errorf("%d always comes after %v", at, before[at])
		}
	}
}

// paced is an env of ours alone, where 8 callers take and free locks of their own, each pair in 10 ms.
func paced() *Env {
	e := newEnv()
	e.Sizes.Callers, e.Leases = []int{8}, 5
	fast := e.Contestants[0].Open
	e.Contestants = []contest.Contestant{{Name: "ours", Renews: true, Open: func(ctx context.Context, o contest.Options) (contest.Client, error) {
		c, err := fast(ctx, o)
		return slowRelease{c}, err
	}}}
	return e
}

func TestCallersAskTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := paced()
		e.computes(3 * time.Microsecond)
		callers(t.Context(), e)
		for metric, want := range map[string]float64{"writes": 2, "CPU": 6000, Commands: 0, WireBytes: 0} {
			if got := e.median(Callers, CallersCase(8), "ours", metric); got != want {
				t.Errorf("%s: %v, want %v; notes: %+v", metric, got, want, e.Run.Notes)
			}
		}
		// A round ends in the instant in which a pair does, so that one more of each caller may begin.
		if got := e.median(Callers, CallersCase(8), "ours", CallersRate); got < 760 || got > 800 {
			t.Errorf("%v pairs/s, want 800", got)
		}
		if got := e.median(Callers, CallersCase(8), "ours", Allocs); !(got >= 1) { // the hall's own
			t.Errorf("%v allocations a pair", got)
		}
	})
}

func TestCallersHaveAnotherProcessWork(t *testing.T) {
	e := newEnv()
	e.Sizes.Callers = []int{8}
	var asked []contest.Work
	e.Contestants = []contest.Contestant{{Name: "child", Child: true, Open: func(context.Context, contest.Options) (contest.Client, error) {
		return child{Client: nil, asked: &asked}, nil
	}}}
	e.Meter = nil
	callers(t.Context(), e)
	for metric, want := range map[string]float64{CallersRate: 50, Allocs: 7} {
		if got := e.median(Callers, CallersCase(8), "child", metric); got != want {
			t.Errorf("%s: %v, want %v; notes: %+v", metric, got, want, e.Run.Notes)
		}
	}
	if got := len(asked); got != 6 { // for the timed client and the counted one: two to warm up, and one that counts
		t.Errorf("asked %d times: %+v", got, asked)
	}
	if lockers := e.lockers(); len(lockers) != 0 {
		t.Errorf("asked for single locks: %+v", lockers)
	}
}

// child is a process that has done 100 pairs in 2 s.
type child struct {
	contest.Client
	asked *[]contest.Work
}

func (c child) Work(_ context.Context, w contest.Work) (contest.Done, error) {
	*c.asked = append(*c.asked, w)
	return contest.Done{Pairs: 100, Took: 2 * time.Second, Allocs: 700}, nil
}

func (c child) Close() error { return nil }

func TestChildrenHaveOurKeys(t *testing.T) {
	e := newEnv()
	var asked []contest.Work
	e.Contestants = append(e.Contestants, contest.Contestant{Name: "another", Child: true, Open: func(context.Context, contest.Options) (contest.Client, error) {
		return child{asked: &asked}, nil
	}})
	alone(t.Context(), e)
	if last := asked[len(asked)-1].Key; last != "bench/alone/ours" {
		t.Errorf("it worked with %s", last)
	}
}

func TestLeasesLeaveOutWhatTheServerDoesByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := paced()
		e.TTL = 10 * time.Second
		// The server computes 1 ms a second by itself, and 7 ms more from the 5th second on: what renews is
		// no part of this test.
		start := time.Now()
		e.Meter = &Meter{CPU: "CPU", Read: func(context.Context) (Load, error) {
			since := time.Since(start)
			spent := since / 1000
			if since > 5*time.Second {
				spent += 7 * time.Millisecond
			}
			return Load{CPU: spent}, nil
		}}
		leases(t.Context(), e)
		if got, want := e.median(Leases, LeasesCase(5), "ours", LeaseCPU), 7e6; got != want {
			t.Errorf("%v ns of CPU, want %v; notes: %+v", got, want, e.Run.Notes)
		}
		if e.Run.Find(report.ID{Scenario: Leases, Case: LeasesCase(5), Contestant: "ours", Metric: LeaseMemory}) == nil {
			t.Error("memory was not measured")
		}
		if e.Run.Failed("ours") {
			t.Errorf("notes: %+v", e.Run.Notes)
		}
	})
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

func TestContendCountsWaitsAndTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv()
		// Each holds for 10 ms, so that the other waits for 10 ms.
		fast := e.Contestants[0].Open
		slow := func(ctx context.Context, o contest.Options) (contest.Client, error) {
			c, err := fast(ctx, o)
			return slowRelease{c}, err
		}
		e.Contestants = []contest.Contestant{{Name: "ours", Open: slow}} // no time passes for the others
		contend(t.Context(), e)
		value := func(metric string) float64 { return e.median(Contend, ContendCase(2), "ours", metric) }
		if got, want := value(ContendRate), 100.0; got < want-1 || got > want+1 {
			t.Errorf("%v locks/s, want %v; notes: %+v", got, want, e.Run.Notes)
		}
		if got, want := value(ContendWait), float64(10*time.Millisecond); got != want {
			t.Errorf("p99 of the wait is %v, want %v", time.Duration(got), time.Duration(want))
		}
		if got := value("changes of owner"); got != 1 {
			t.Errorf("changes of owner: %v, want 1", got)
		}
		if few, most := value("fewest of a client"), value("most"); few < 99 || most > 101 {
			t.Errorf("turns from %v to %v, want 100 each", few, most)
		}
	})
}

type slowRelease struct{ contest.Client }

func (c slowRelease) Lock(ctx context.Context, key string) (contest.Held, error) {
	h, err := c.Client.Lock(ctx, key)
	return slowHeld{h}, err
}

type slowHeld struct{ contest.Held }

func (h slowHeld) Release(ctx context.Context) error {
	time.Sleep(10 * time.Millisecond)
	return h.Held.Release(ctx)
}

func TestBlackholeMeasuresBothStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEnv()
		var silent bool
		e.Blackhole = func(int) (func() error, error) {
			silent = true
			return func() error { silent = false; return nil }, nil
		}
		fast := e.Contestants[0].Open
		slow := func(ctx context.Context, o contest.Options) (contest.Client, error) {
			c, err := fast(ctx, o)
			return slowWhile{c, &silent}, err
		}
		e.Contestants = []contest.Contestant{{Name: "ours", Open: slow}} // no time passes for the others
		blackhole(t.Context(), e)
		for metric, want := range map[string]time.Duration{BlackholePair: 7 * time.Millisecond, BlackholeHealthy: time.Millisecond} {
			if got := e.median(Blackhole, BlackholeCase(1), "ours", metric); got != float64(want) {
				t.Errorf("%s is %v, want %v; notes: %+v", metric, time.Duration(got), want, e.Run.Notes)
			}
		}
		if silent {
			t.Error("the server was left silent")
		}
	})
}

// slowWhile takes a millisecond for a lock, and seven while a server is silent.
type slowWhile struct {
	contest.Client
	silent *bool
}

func (c slowWhile) Lock(ctx context.Context, key string) (contest.Held, error) {
	if *c.silent {
		time.Sleep(6 * time.Millisecond)
	}
	time.Sleep(time.Millisecond)
	return c.Client.Lock(ctx, key)
}
