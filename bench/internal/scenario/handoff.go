package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/stat"
	"github.com/fencelock/fencelock/bench/internal/wire"
)

// Columns of the scenarios that empty a line of waiters.
const (
	HandOff         = "per hand-off"
	Commands        = "commands"
	ToFirst         = "first: commands"
	PushesToFirst   = "first: pushes"
	ServerWaiters   = "waiters at server"
	firstWaiter     = "first waiter"
	outOfOrder      = "out of order"
	WireBytes       = "wire bytes"
	BytesPerHandOff = WireBytes
	idleCommands    = "idle commands/s"
	serverWatches   = "watches/waiter"
)

// thatQueue are the contestants that can be asked to stand in a line of n.
func (t table) thatQueue(n int) []contest.Contestant {
	var all []contest.Contestant
	for _, c := range t.env.lockers() {
		if c.MaxLine > 0 && n > c.MaxLine {
			t.note(c.Name, false, "left out: its waiters all wake at each release, so that a line of %d does not end", n)
		} else {
			all = append(all, c)
		}
	}
	return all
}

// addTimes records a line that was only timed.
func (t table) addTimes(name string, round int, d drained, l line) {
	of := len(l.waiters)
	if len(d.order) < of {
		t.note(name, false, "round %d: given up with %d of %d handed off (%s in all, or %s without a grant); its figures are of those",
			round+1, len(d.order), of, l.limit, stallAfter)
	}
	if len(d.order) == 0 {
		return
	}
	t.add(name, HandOff, report.Nanoseconds, round, float64(d.all)/float64(len(d.order)))
	t.add(name, firstWaiter, report.Nanoseconds, round, float64(d.first))
	t.add(name, outOfOrder, report.Share, round, stat.OutOfOrder(d.order))
}

// addTraffic records a line whose commands were counted. What a waiter sends to get in line belongs to its hand-off; what it
// sends while nothing happens has a column of its own.
func (t table) addTraffic(name string, round int, d drained, l line) {
	of, done := float64(len(l.waiters)), float64(len(d.order))
	if done == 0 {
		return
	}
	t.add(name, Commands, report.Plain, round, float64(d.enter.Commands)/of+float64(d.leave.Commands)/done)
	t.add(name, WireBytes, report.Bytes, round, float64(d.enter.Bytes())/of+float64(d.leave.Bytes())/done)
	t.add(name, ToFirst, report.Plain, round, float64(d.toFirst.Commands))
	t.add(name, PushesToFirst, report.Plain, round, float64(d.toFirst.Pushes))
	t.add(name, idleCommands, report.Plain, round, float64(d.idle.Commands)/of/l.idle.Seconds())
	if l.meter != nil {
		// There was one release more than waiters: the holder's.
		t.addWork(name, round, d.writes.each(of, done+1), d.syncs.each(of, done+1))
		if l.meter.Writes != "" {
			t.add(name, serverWatches, report.Plain, round, d.watches/of)
		}
	}
}

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
