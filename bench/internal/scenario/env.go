// Package scenario holds the situations in which locks are measured. Each is written once, against package contest.
package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/wire"
)

// Env is what all scenarios of a run share.
type Env struct {
	Contestants []contest.Contestant
	TTL         time.Duration
	Rounds      int           // for every case; 0: what suits the scenario
	Limit       time.Duration // after which a contestant gets no further round of a case
	Leases      int           // how many one client holds in the scenario of that name
	Sizes       Sizes
	Protocol    wire.Protocol // of the connections that are counted
	Meter       *Meter        // nil: the server is not asked
	Failure     *Failure      // nil: the server is not made to fail
	Takeovers   []Takeover    // none: nobody takes the place of another server
	// Blackhole has one of several servers take all bytes and answer none, until end; nil: nobody is silenced.
	Blackhole func(round int) (end func() error, err error)
	Progress  io.Writer
	Run       *report.Run
}

// Sizes are how many take part in each case of the scenarios that have several, from few to many.
type Sizes struct {
	Callers []int // goroutines that share one client
	Queue   []int // waiting clients, each with connections of its own
	Turns   []int // clients that want one key again and again
	Contend []int // the same, where a client may take the key back from itself
}

// lockers are the contestants that exclude anybody, and whose clients can be asked for one lock.
func (e *Env) lockers() []contest.Contestant {
	return slices.DeleteFunc(slices.Clone(e.Contestants), func(c contest.Contestant) bool { return c.Floor || c.Child })
}

// owner is what a contestant's keys are named after. Those of children, which have namespaces of their own,
// are named after ours: what they send and keep is compared, and the length of a name is part of it.
func (e *Env) owner(c contest.Contestant) string {
	if c.Child {
		return e.Contestants[0].Name
	}
	return c.Name
}

// Scenario is one situation; its cases differ in size.
type Scenario struct {
	Name string
	Run  func(ctx context.Context, e *Env)
}

// All lists the scenarios in the order in which they run.
func All() []Scenario {
	return []Scenario{
		{Alone, alone},
		{Callers, callers},
		{Queue, queue},
		{Turns, turns},
		{Contend, contend},
		{Goroutines, goroutines},
		{Leases, leases},
		{Blackhole, blackhole},
		{Failover, failover},
	}
}

// The names of the scenarios, as -only and the budgets use them.
const (
	Alone      = "alone"
	Callers    = "callers"
	Queue      = "queue"
	Turns      = "turns"
	Contend    = "contend"
	Goroutines = "goroutines"
	Leases     = "leases"
	Blackhole  = "blackhole"
	Failover   = "failover"
)

// table is one case while it is being measured.
type table struct {
	env      *Env
	scenario string
	name     string
	weight   int // how many times Env.Limit a contestant gets, at least once
}

func (t table) add(contestant, metric string, u report.Unit, round int, value float64) {
	t.env.Run.Add(report.ID{Scenario: t.scenario, Case: t.name, Contestant: contestant, Metric: metric}, u, round, value)
}

func (t table) note(contestant string, failed bool, format string, args ...any) {
	t.env.Run.Notes = append(t.env.Run.Notes, report.Note{
		Scenario: t.scenario, Case: t.name, Contestant: contestant, Text: fmt.Sprintf(format, args...), Failed: failed,
	})
}

// limit is longer where a single round is.
func (t table) limit() time.Duration { return t.env.Limit * time.Duration(max(t.weight, 1)) }

// measureFunc is one contestant's part of one round. A wait that nothing ends is ended by ctx.
type measureFunc func(ctx context.Context, round int, c contest.Contestant) error

// stuckAfter is far more than any round takes. It is for a waiter that nobody wakes.
const stuckAfter = time.Minute

var errStuck = fmt.Errorf("stuck: given up after %s", stuckAfter)

// rounds measures every contestant once a round. Who comes first changes from round to round, and so does the
// direction, so that nobody always finds the server as the same neighbour left it. One that fails, or has
// used up its time, gets no further round and the table says so.
func (t table) rounds(ctx context.Context, rounds int, all []contest.Contestant, measure measureFunc) {
	if t.env.Rounds > 0 {
		rounds = t.env.Rounds
	}
	used := make([]time.Duration, len(all))
	out := make([]bool, len(all))
	for round := range rounds {
		fmt.Fprintf(t.env.Progress, "%s, %s: round %d of %d\n", t.scenario, t.name, round+1, rounds)
		for i := range all {
			at := turn(i, round, len(all))
			c := all[at]
			if out[at] || ctx.Err() != nil {
				continue
			}
			if used[at] > t.limit() {
				out[at] = true
				t.note(c.Name, false, "cut to %d of %d rounds: they took %.0f s", round, rounds, used[at].Seconds())
				continue
			}
			runtime.GC() // the garbage of one must not be collected at the expense of the next
			start := time.Now()
			if err := bounded(ctx, func(ctx context.Context) error { return measure(ctx, round, c) }); err != nil && ctx.Err() == nil {
				out[at] = true
				t.note(c.Name, true, "failed in round %d: %v", round+1, err)
			}
			used[at] += time.Since(start)
		}
	}
	for i, c := range all {
		fmt.Fprintf(t.env.Progress, "    %-17s %5.1f s\n", c.Name, used[i].Seconds())
	}
}

// turn is who comes as the i-th of n in a round.
func turn(i, round, n int) int {
	if round%2 == 1 {
		i = n - 1 - i
	}
	return (i + round) % n
}

// bounded ends f's context when it is stuck. It does so without a deadline: libraries that look for one would behave
// differently from how they do in an application that sets none.
func bounded(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer time.AfterFunc(stuckAfter, func() { cancel(errStuck) }).Stop()
	err := f(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errStuck) {
		return errStuck
	}
	return err
}

// Meter asks the server for its own counters. What others do on the server meanwhile is in them, too. The
// names are those of columns; empty: it does not tell.
type Meter struct {
	Writes string // what the server calls that which it must get to its disk; one that tells of it tells of watches, too
	Syncs  string // how often it did, with what came at once
	CPU    string // what it computed
	Read   func(ctx context.Context) (Load, error)
}

// Load is a reading of a Meter.
type Load struct {
	Writes  float64       // so far
	Syncs   float64       // so far
	Watches float64       // that stand now
	CPU     time.Duration // so far
}

// read is the zero Load where there is no Meter.
func (m *Meter) read(ctx context.Context) (Load, error) {
	if m == nil {
		return Load{}, nil
	}
	return m.Read(ctx)
}

// addWork records what the server did for each of so many pairs, or hand-offs.
func (t table) addWork(name string, round int, writes, syncs float64) {
	m := t.env.Meter
	if m == nil {
		return
	}
	if m.Writes != "" {
		t.add(name, m.Writes, report.Plain, round, writes)
	}
	if m.Syncs != "" {
		t.add(name, m.Syncs, report.Plain, round, syncs)
	}
}

// addLoad records the same of pairs between two readings, and what the server computed for each.
func (t table) addLoad(name string, round int, before, after Load, pairs float64) {
	t.addWork(name, round, (after.Writes-before.Writes)/pairs, (after.Syncs-before.Syncs)/pairs)
	t.addCPU(name, t.env.Meter.cpu(), round, float64(after.CPU-before.CPU)/pairs)
}

// addCPU records what the server computed, where it tells.
func (t table) addCPU(name, metric string, round int, ns float64) {
	if t.env.Meter.cpu() != "" {
		t.add(name, metric, report.Nanoseconds, round, ns)
	}
}

// computing is what the server computed while f went on; 0 where it does not tell.
func (m *Meter) computing(ctx context.Context, f func() error) (time.Duration, error) {
	if m.cpu() == "" {
		return 0, f()
	}
	before, err := m.read(ctx)
	if err == nil {
		err = f()
	}
	if err != nil {
		return 0, err
	}
	after, err := m.read(ctx)
	return after.CPU - before.CPU, err
}

func (m *Meter) cpu() string {
	if m == nil {
		return ""
	}
	return m.CPU
}

// loads are the readings during the life of a line.
type loads struct {
	meter  *Meter
	all    []Load
	failed error
}

func (l *loads) read(ctx context.Context) {
	load, err := l.meter.read(ctx)
	l.all = append(l.all, load)
	l.failed = errors.Join(l.failed, err)
}

// writes, syncs and watches are what was added from one reading to another.
func (l *loads) writes(from, to int) float64  { return l.all[to].Writes - l.all[from].Writes }
func (l *loads) syncs(from, to int) float64   { return l.all[to].Syncs - l.all[from].Syncs }
func (l *loads) watches(from, to int) float64 { return l.all[to].Watches - l.all[from].Watches }
