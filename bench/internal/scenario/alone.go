package scenario

import (
	"context"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/stat"
	"github.com/fencelock/fencelock/bench/internal/wire"
	"github.com/fencelock/fencelock/bench/internal/work"
)

const (
	// AloneCase is the only case of Alone.
	AloneCase = "one caller"
	// AlonePair is the time of an acquire and a release.
	AlonePair = "p50"
	// Allocs are those of a pair, in the whole process.
	Allocs = "allocs"

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
		key := "bench/alone/" + e.owner(c)
		if err := t.latency(ctx, round, c, timed[c.Name], key); err != nil || c.Elsewhere {
			return err
		}
		return t.cost(ctx, round, c.Name, counted[c.Name], counters[c.Name], key)
	})
}

// latency times pairs, and counts what they allocate.
func (t table) latency(ctx context.Context, round int, c contest.Contestant, client contest.Client, key string) error {
	var d contest.Done
	computed, err := t.env.Meter.computing(ctx, func() (err error) {
		d, err = work.For(client).Work(ctx, contest.Work{Key: key, Pairs: alonePairs})
		return err
	})
	if err != nil {
		return err
	}
	t.add(c.Name, AlonePair, report.Nanoseconds, round, stat.Median(d.Times))
	t.add(c.Name, "p99", report.Nanoseconds, round, stat.Percentile(d.Times, 99))
	t.add(c.Name, Allocs, report.Plain, round, d.Allocs/d.Pairs)
	t.add(c.Name, "alloc bytes", report.Bytes, round, d.AllocBytes/d.Pairs)
	t.add(c.Name, "goroutines", report.Plain, round, d.Goroutines/d.Pairs)
	if !c.Elsewhere {
		t.addCPU(c.Name, t.env.Meter.cpu(), round, float64(computed)/d.Pairs)
	}
	return nil
}

// cost counts traffic, with a client of its own so that counting does not slow down the timed one.
func (t table) cost(ctx context.Context, round int, name string, client contest.Client, counter *wire.Counter, key string) error {
	loadBefore, err := t.env.Meter.read(ctx)
	if err != nil {
		return err
	}
	before := counter.Read()
	if _, err := work.For(client).Work(ctx, contest.Work{Key: key, Pairs: countedPairs}); err != nil {
		return err
	}
	used := counter.Read().Minus(before)
	load, err := t.env.Meter.read(ctx)
	if err != nil {
		return err
	}
	t.add(name, Commands, report.Plain, round, float64(used.Commands)/countedPairs)
	t.add(name, WireBytes, report.Bytes, round, float64(used.Bytes())/countedPairs)
	t.add(name, "pushes", report.Plain, round, float64(used.Pushes)/countedPairs)
	t.addWork(name, round, (load.Writes-loadBefore.Writes)/countedPairs, (load.Syncs-loadBefore.Syncs)/countedPairs)
	return nil
}
