package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/wire"
	"github.com/fencelock/fencelock/bench/internal/work"
)

// Columns of Leases.
const (
	LeaseMemory     = "memory each"
	LeaseGoroutines = "goroutines"
	LeaseCPU        = "server CPU per TTL" // to renew all of them
)

// LeasesCase names the case of a number of leases.
func LeasesCase(n int) string { return fmt.Sprintf("%d held leases", n) }

// leases are many locks held by one client for as long as one TTL.
func leases(ctx context.Context, e *Env) {
	t := table{e, Leases, LeasesCase(e.Leases), 1}
	var libraries []contest.Contestant
	for _, c := range e.Contestants {
		if !c.Bare && !c.Elsewhere {
			libraries = append(libraries, c)
		}
	}
	once := *e
	once.Rounds = 1 // each takes a TTL, and memory does not vary like time does
	t.env = &once
	t.rounds(ctx, 1, libraries, func(ctx context.Context, round int, c contest.Contestant) error { return t.hold(ctx, round, c) })
}

func (t table) hold(ctx context.Context, round int, c contest.Contestant) error {
	counter := wire.NewCounter(t.env.Protocol)
	client, err := openOne(ctx, c, contest.Options{TTL: t.env.TTL, Dial: counter.Dial})
	if err != nil {
		return err
	}
	defer closeAll([]contest.Client{client})
	worker := work.For(client)
	if _, err := worker.Work(ctx, callersWork(work.AtOnce, callersFor)); err != nil { // the pool is not part of a lease
		return err
	}
	idle := time.Duration(0)
	if t.env.Meter.cpu() != "" {
		if idle, err = t.computed(ctx, idleServer); err != nil {
			return err
		}
	}

	n := t.env.Leases
	taken, err := worker.Work(ctx, contest.Work{Key: "bench/lease/" + t.env.owner(c), Take: n})
	if err != nil {
		return err
	}
	cost := taken.Kept
	renewed := wire.Count{}
	computed := time.Duration(0)
	if c.Renews {
		atStart := counter.Read()
		computed, err = t.computed(ctx, t.env.TTL)
		renewed = counter.Read().Minus(atStart)
		after, failed := worker.Work(ctx, contest.Work{Look: true})
		cost, err = larger(cost, after.Kept), errors.Join(err, failed)
	}
	freed, failed := worker.Work(context.WithoutCancel(ctx), contest.Work{Free: true})
	if err = errors.Join(err, failed, ctx.Err()); err != nil {
		return err
	}
	t.add(c.Name, LeaseMemory, report.Bytes, round, float64(cost.Memory)/float64(n))
	t.add(c.Name, LeaseGoroutines, report.Plain, round, float64(cost.Goroutines))
	t.add(c.Name, "to take all", report.Nanoseconds, round, float64(taken.Took))
	if !c.Renews {
		t.note(c.Name, false, "renews nothing by itself")
		return nil
	}
	t.add(c.Name, "commands per TTL", report.Plain, round, float64(renewed.Commands))
	t.add(c.Name, "bytes per lease and TTL", report.Bytes, round, float64(renewed.Bytes())/float64(n))
	// What the server does by itself is not what renewals cost.
	byItself := float64(idle) * t.env.TTL.Seconds() / idleServer.Seconds()
	t.addCPU(c.Name, LeaseCPU, round, max(float64(computed)-byItself, 0))
	if freed.Lost > 0 {
		t.note(c.Name, true, "%d of %d were lost meanwhile", freed.Lost, n)
	}
	return nil
}

// idleServer is for how long a server is watched that has nothing to do.
const idleServer = time.Second

// computed waits, and tells what the server computed meanwhile.
func (t table) computed(ctx context.Context, d time.Duration) (time.Duration, error) {
	return t.env.Meter.computing(ctx, func() error {
		wait(ctx, d)
		return nil
	})
}

func larger(f, g contest.Footprint) contest.Footprint {
	return contest.Footprint{Memory: max(f.Memory, g.Memory), Goroutines: max(f.Goroutines, g.Goroutines)}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
