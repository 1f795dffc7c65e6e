package scenario

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/stat"
	"github.com/fencelock/fencelock/bench/internal/wire"
)

const (
	// AloneCase is the only case of Alone.
	AloneCase = "one caller"
	// AlonePair is the time of an acquire and a release.
	AlonePair = "p50"

	alonePairs   = 200
	countedPairs = 50
)

// alone is one caller on a key that nobody else wants.
func alone(ctx context.Context, e *Env) {
	t := table{e, Alone, AloneCase, 1}
	timed, counted := map[string]contest.Client{}, map[string]contest.Client{}
	counters := map[string]*wire.Counter{}
	defer func() {
		for _, c := range e.Contestants {
			closeAll([]contest.Client{timed[c.Name], counted[c.Name]})
		}
	}()
	t.rounds(ctx, 40, e.Contestants, func(ctx context.Context, round int, c contest.Contestant) (err error) {
		if timed[c.Name] == nil {
			if timed[c.Name], err = openOne(ctx, c, contest.Options{TTL: e.TTL}); err != nil {
				return err
			}
		}
		if counted[c.Name] == nil && !c.Elsewhere {
			counters[c.Name] = wire.NewCounter(e.Protocol)
			counted[c.Name], err = openOne(ctx, c, contest.Options{TTL: e.TTL, Dial: counters[c.Name].Dial})
			if err != nil {
				return err
			}
		}
		key := fmt.Sprintf("bench/alone/%s", c.Name)
		if err := t.latency(ctx, round, c.Name, timed[c.Name], key); err != nil || c.Elsewhere {
			return err
		}
		return t.cost(ctx, round, c.Name, counted[c.Name], counters[c.Name], key)
	})
}

// latency times pairs, and counts what they allocate in the whole process: a library's own goroutines included.
func (t table) latency(ctx context.Context, round int, name string, client contest.Client, key string) error {
	took := make([]time.Duration, alonePairs)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	started := goroutinesStarted()
	for i := range took {
		start := time.Now()
		if err := pair(ctx, client, key); err != nil {
			return err
		}
		took[i] = time.Since(start)
	}
	started = goroutinesStarted() - started
	runtime.ReadMemStats(&after)
	t.add(name, AlonePair, report.Nanoseconds, round, stat.Median(took))
	t.add(name, "p99", report.Nanoseconds, round, stat.Percentile(took, 99))
	t.add(name, "allocs", report.Plain, round, float64(after.Mallocs-before.Mallocs)/alonePairs)
	t.add(name, "alloc bytes", report.Bytes, round, float64(after.TotalAlloc-before.TotalAlloc)/alonePairs)
	t.add(name, "goroutines", report.Plain, round, started/alonePairs)
	return nil
}

// goroutinesStarted is how many the process has started so far.
func goroutinesStarted() float64 {
	s := []metrics.Sample{{Name: "/sched/goroutines-created:goroutines"}}
	metrics.Read(s)
	return float64(s[0].Value.Uint64())
}

// cost counts traffic, with a client of its own so that counting does not slow down the timed one.
func (t table) cost(ctx context.Context, round int, name string, client contest.Client, counter *wire.Counter, key string) error {
	loadBefore, err := t.env.Meter.read(ctx)
	if err != nil {
		return err
	}
	before := counter.Read()
	for range countedPairs {
		if err := pair(ctx, client, key); err != nil {
			return err
		}
	}
	used := counter.Read().Minus(before)
	load, err := t.env.Meter.read(ctx)
	if err != nil {
		return err
	}
	t.add(name, "commands", report.Plain, round, float64(used.Commands)/countedPairs)
	t.add(name, "wire bytes", report.Bytes, round, float64(used.Bytes())/countedPairs)
	t.add(name, "pushes", report.Plain, round, float64(used.Pushes)/countedPairs)
	t.addWork(name, round, (load.Writes-loadBefore.Writes)/countedPairs, (load.Syncs-loadBefore.Syncs)/countedPairs)
	return nil
}
