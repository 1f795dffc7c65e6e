package scenario

import (
	"context"
	"errors"
	"fmt"
	"runtime"
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
)

// LeasesCase names the case of a number of leases.
func LeasesCase(n int) string { return fmt.Sprintf("%d held leases", n) }

// leases are many locks held by one client for as long as one TTL.
func leases(ctx context.Context, e *Env) {
	t := table{e, Leases, LeasesCase(e.Leases), 1}
	var libraries []contest.Contestant
	for _, c := range e.Contestants {
		if !c.Bare && !c.Elsewhere && !c.Child {
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
	if _, err := work.Do(ctx, client, callersWork(atOnce, callersFor)); err != nil { // the pool is not part of a lease
		return err
	}

	n := t.env.Leases
	keys, held := make([]string, n), make([]contest.Held, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("bench/lease/%s/%d", c.Name, i)
	}
	before := footprintNow()
	start := time.Now()
	err = inParallel(n, func(i int) (err error) {
		held[i], err = client.Lock(ctx, keys[i])
		return err
	})
	took := time.Since(start)
	after := footprintNow()

	renewed := wire.Count{}
	if err == nil && c.Renews {
		atStart := counter.Read()
		wait(ctx, t.env.TTL)
		renewed = counter.Read().Minus(atStart)
		after = after.larger(footprintNow())
	}
	lost := release(held)
	if err = errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	t.add(c.Name, LeaseMemory, report.Bytes, round, float64(after.memory-before.memory)/float64(n))
	t.add(c.Name, LeaseGoroutines, report.Plain, round, float64(after.goroutines-before.goroutines))
	t.add(c.Name, "to take all", report.Nanoseconds, round, float64(took))
	if !c.Renews {
		t.note(c.Name, false, "renews nothing by itself")
		return nil
	}
	t.add(c.Name, "commands per TTL", report.Plain, round, float64(renewed.Commands))
	t.add(c.Name, "bytes per lease and TTL", report.Bytes, round, float64(renewed.Bytes())/float64(n))
	if lost > 0 {
		t.note(c.Name, true, "%d of %d were lost meanwhile", lost, n)
	}
	return nil
}

// release frees what is held and tells how much of it was not ours any more.
func release(held []contest.Held) int {
	lost := make([]bool, len(held))
	_ = inParallel(len(held), func(i int) error {
		lost[i] = held[i] != nil && held[i].Release(context.Background()) != nil
		return nil
	})
	sum := 0
	for _, l := range lost {
		if l {
			sum++
		}
	}
	return sum
}

// footprint is what the process needs once its garbage is gone. Stacks are memory too.
type footprint struct {
	memory     int64
	goroutines int
}

func footprintNow() footprint {
	runtime.GC()
	runtime.GC() // the first one only moves pooled objects to the victims
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return footprint{memory: int64(m.HeapAlloc + m.StackInuse), goroutines: runtime.NumGoroutine()}
}

func (f footprint) larger(g footprint) footprint {
	return footprint{memory: max(f.memory, g.memory), goroutines: max(f.goroutines, g.goroutines)}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
