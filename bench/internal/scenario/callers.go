package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/wire"
	"github.com/fencelock/fencelock/bench/internal/work"
)

// CallersRate is how many locks a second are taken and freed.
const CallersRate = "pairs/s"

// callersFor is how long a round lasts.
const callersFor = 200 * time.Millisecond

// CallersCase names the case of a size.
func CallersCase(n int) string { return fmt.Sprintf("%d callers", n) }

// callersWork is that of n callers for a time.
func callersWork(n int, d time.Duration) contest.Work {
	return contest.Work{Key: "bench/callers", Callers: n, For: d}
}

// callers are many goroutines of one process, each on a key of its own.
func callers(ctx context.Context, e *Env) {
	for _, n := range e.Sizes.Callers {
		t := table{e, Callers, CallersCase(n), 1}
		clients := map[string]contest.Client{}
		t.rounds(ctx, 11, e.Contestants, func(ctx context.Context, round int, c contest.Contestant) (err error) {
			if clients[c.Name] == nil {
				if clients[c.Name], err = t.openFull(ctx, c, n, contest.Options{TTL: e.TTL}); err != nil {
					return err
				}
			}
			if err := t.timedCallers(ctx, round, c, clients[c.Name], n); err != nil || c.Elsewhere || round%countEvery != 0 {
				return err
			}
			return t.countedCallers(ctx, round, c, n)
		})
		for _, c := range clients {
			closeAll([]contest.Client{c})
		}
	}
}

// openFull makes a client whose pool is as full as n callers make it.
func (t table) openFull(ctx context.Context, c contest.Contestant, n int, o contest.Options) (contest.Client, error) {
	client, err := openOne(ctx, c, o)
	if err != nil {
		return nil, err
	}
	if _, err := work.For(client).Work(ctx, callersWork(n, callersFor/4)); err != nil {
		_ = client.Close()
		return nil, err
	}
	return client, nil
}

func (t table) timedCallers(ctx context.Context, round int, c contest.Contestant, client contest.Client, n int) error {
	before, err := t.env.Meter.read(ctx)
	if err != nil {
		return err
	}
	d, err := work.For(client).Work(ctx, callersWork(n, callersFor))
	if err != nil {
		return err
	}
	after, err := t.env.Meter.read(ctx)
	if err != nil {
		return err
	}
	t.add(c.Name, CallersRate, report.Rate, round, d.Pairs/d.Took.Seconds())
	t.add(c.Name, Allocs, report.Plain, round, d.Allocs/d.Pairs)
	if !c.Elsewhere {
		t.addLoad(c.Name, round, before, after, d.Pairs)
	}
	return nil
}

// countedCallers counts traffic, with a client of its own so that counting does not slow down the timed one.
func (t table) countedCallers(ctx context.Context, round int, c contest.Contestant, n int) error {
	counter := wire.NewCounter(t.env.Protocol)
	client, err := t.openFull(ctx, c, n, contest.Options{TTL: t.env.TTL, Dial: counter.Dial})
	if err != nil {
		return err
	}
	defer closeAll([]contest.Client{client})
	before := counter.Read()
	d, err := work.For(client).Work(ctx, callersWork(n, callersFor/2))
	if err != nil {
		return err
	}
	used := counter.Read().Minus(before)
	t.add(c.Name, Commands, report.Plain, round, float64(used.Commands)/d.Pairs)
	t.add(c.Name, WireBytes, report.Bytes, round, float64(used.Bytes())/d.Pairs)
	return nil
}
