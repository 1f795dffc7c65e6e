package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/wire"
)

// QueueCase names the case of a size.
func QueueCase(n int) string { return fmt.Sprintf("%d waiting clients", n) }

const (
	countEvery = 3                      // one round in so many is also run with counters
	idleFor    = 300 * time.Millisecond // for which a standing line is counted
	longLine   = 256                    // clients that make a round a long one
)

// queue is one holder and a line of clients behind it, each of which hands the lock on as soon as it has it.
func queue(ctx context.Context, e *Env) {
	for i, n := range e.Sizes.Queue {
		t := table{e, Queue, QueueCase(n), n / longLine}
		// The long ones are many hand-offs in one round.
		t.rounds(ctx, max(9-2*i, 3), t.thatQueue(n), func(ctx context.Context, round int, c contest.Contestant) error {
			if err := t.timedQueue(ctx, round, c, n); err != nil {
				return err
			}
			if round%countEvery != 0 || c.Elsewhere {
				return nil
			}
			return t.countedQueue(ctx, round, c, n)
		})
	}
}

func (t table) timedQueue(ctx context.Context, round int, c contest.Contestant, n int) error {
	base := runtime.NumGoroutine()
	clients, err := openMany(ctx, c, contest.Options{TTL: t.env.TTL}, n+1)
	if err != nil {
		return err
	}
	defer closeAll(clients)
	l := queueOf(clients, fmt.Sprintf("bench/queue/%s/%d/%d", c.Name, n, round))
	d, err := l.drain(ctx)
	if err != nil {
		return err
	}
	t.addTimes(c.Name, round, d, l)
	// One goroutine of each waiter is ours: the one that called Lock.
	t.add(c.Name, "goroutines/client", report.Plain, round, float64(d.goroutines-base-n)/float64(n+1))
	return nil
}

func (t table) countedQueue(ctx context.Context, round int, c contest.Contestant, n int) error {
	counter := wire.NewCounter(t.env.Protocol)
	clients, err := openMany(ctx, c, contest.Options{TTL: t.env.TTL, Dial: counter.Dial}, n+1)
	if err != nil {
		return err
	}
	defer closeAll(clients)
	l := queueOf(clients, fmt.Sprintf("bench/queue/%s/%d/%d/counted", c.Name, n, round))
	l.counter, l.meter, l.idle = counter, t.env.Meter, idleFor
	d, err := l.drain(ctx)
	if err != nil {
		return err
	}
	t.addTraffic(c.Name, round, d, l)
	return nil
}

func queueOf(clients []contest.Client, key string) line {
	return line{
		key:     key,
		holder:  clients[0],
		waiters: clients[1:],
		spacing: 2 * time.Millisecond,
		limit:   max(drainLimit, time.Duration(len(clients))*drainEach),
		// Not a constant: those that ask at intervals would meet the release at the same point of theirs in each round.
		settle: 50*time.Millisecond + rand.N(100*time.Millisecond),
	}
}
