package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/wire"
)

const (
	manyGoroutines = 1000

	// GoroutinesCase is many callers of one process on one key.
	GoroutinesCase = "1,000 goroutines"
	// OneWaiterCase is what it is held against: two processes, so that one always waits while the other holds.
	OneWaiterCase = "2 clients in turn"
)

// goroutines is a line within one process. A library that knows its own waiters need not send them all to the server.
func goroutines(ctx context.Context, e *Env) {
	one, many := table{e, Goroutines, OneWaiterCase, 1}, table{e, Goroutines, GoroutinesCase, 1}
	var exclusive []contest.Contestant
	for _, c := range many.thatQueue(manyGoroutines) {
		if c.Reentrant {
			many.note(c.Name, false, "left out: goroutines that share its session all hold the lock at once")
		} else {
			exclusive = append(exclusive, c)
		}
	}
	many.rounds(ctx, 3, exclusive, func(ctx context.Context, round int, c contest.Contestant) error {
		if c.Name == e.Contestants[0].Name { // ours is held against itself here; barging peers do not take turns anyway
			if err := one.single(ctx, round, c); err != nil {
				return err
			}
		}
		if err := many.crowd(ctx, round, c, nil); err != nil {
			return err
		}
		if round%countEvery != 0 || c.Elsewhere {
			return nil
		}
		return many.crowd(ctx, round, c, wire.NewCounter(e.Protocol))
	})
}

// single is the hand-off between two processes that both always want the lock.
func (t table) single(ctx context.Context, round int, c contest.Contestant) error {
	p, err := takeTurns(ctx, t.env, c, 2, fmt.Sprintf("bench/pair/%s/%d", c.Name, round))
	if err != nil {
		return err
	}
	if n := p.total(); n > 0 {
		t.add(c.Name, HandOff, report.Nanoseconds, round, float64(p.last.Sub(p.start))/float64(n))
	}
	return nil
}

// crowd empties a line of goroutines that share one client with the holder.
func (t table) crowd(ctx context.Context, round int, c contest.Contestant, counter *wire.Counter) error {
	o := contest.Options{TTL: t.env.TTL}
	if counter != nil {
		o.Dial = counter.Dial
	}
	client, err := openOne(ctx, c, o)
	if err != nil {
		return err
	}
	defer closeAll([]contest.Client{client})
	l := line{
		key:     fmt.Sprintf("bench/crowd/%s/%d/%t", c.Name, round, counter != nil),
		holder:  client,
		waiters: make([]contest.Client, manyGoroutines),
		settle:  100 * time.Millisecond,
		counter: counter,
		meter:   t.env.Meter,
		limit:   drainLimit,
	}
	for i := range l.waiters {
		l.waiters[i] = client
	}
	if counter != nil {
		l.idle = idleFor
	}
	d, err := l.drain(ctx)
	if err != nil {
		return err
	}
	if counter == nil {
		t.addTimes(c.Name, round, d, l)
		return nil
	}
	t.addTraffic(c.Name, round, d, l)
	if d.known >= 0 {
		t.add(c.Name, ServerWaiters, report.Plain, round, float64(d.known))
	}
	return nil
}
