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

// QueueSizes are the numbers of waiting clients, each with connections of its own.
func QueueSizes() []int { return []int{2, 16, 64, 256} }

// QueueCase names the case of a size.
func QueueCase(n int) string { return fmt.Sprintf("%d waiting clients", n) }

const (
	countEvery = 3                      // one round in so many is also run with counters
	idleFor    = 300 * time.Millisecond // for which a standing line is counted
)

// queue is one holder and a line of clients behind it, each of which hands the lock on as soon as it has it.
func queue(ctx context.Context, e *Env) {
	rounds := []int{9, 7, 5, 3} // the long ones are many hand-offs in one round
	for i, n := range QueueSizes() {
		t := table{e, Queue, QueueCase(n)}
		t.rounds(ctx, rounds[i], e.Contestants, func(ctx context.Context, round int, c contest.Contestant) error {
			if err := t.timedQueue(ctx, round, c, n); err != nil {
				return err
			}
			if round%countEvery != 0 {
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
	t.addTimes(c.Name, round, d, n)
	// One goroutine of each waiter is ours: the one that called Lock.
	t.add(c.Name, "goroutines/client", report.Plain, round, float64(d.goroutines-base-n)/float64(n+1))
	return nil
}

func (t table) countedQueue(ctx context.Context, round int, c contest.Contestant, n int) error {
	counter := new(wire.Counter)
	clients, err := openMany(ctx, c, contest.Options{TTL: t.env.TTL, Dial: counter.Dial}, n+1)
	if err != nil {
		return err
	}
	defer closeAll(clients)
	l := queueOf(clients, fmt.Sprintf("bench/queue/%s/%d/%d/counted", c.Name, n, round))
	l.counter, l.idle = counter, idleFor
	d, err := l.drain(ctx)
	if err != nil {
		return err
	}
	t.addTraffic(c.Name, round, d, n, l.idle)
	return nil
}

func queueOf(clients []contest.Client, key string) line {
	return line{
		key:     key,
		holder:  clients[0],
		waiters: clients[1:],
		spacing: 2 * time.Millisecond,
		// Not a constant: those that ask at intervals would meet the release at the same point of theirs in each round.
		settle: 50*time.Millisecond + rand.N(100*time.Millisecond),
	}
}
