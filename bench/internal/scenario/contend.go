package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/stat"
	"github.com/fencelock/fencelock/bench/internal/wire"
)

// Columns of Contend.
const (
	ContendRate = "locks/s"
	ContendWait = "wait p99"
	// ContendCommands are of all clients, for each lock that one of them got.
	ContendCommands = "commands"
)

const (
	contendFor   = 2 * time.Second // longer than the longest wait that is to be seen
	contendCount = time.Second     // of a run with counters
)

// ContendCase names the case of a size.
func ContendCase(n int) string { return fmt.Sprintf("%d contending clients", n) }

// contend are clients that lock the same key in a loop, where who has just freed it may take it again: how much gets done,
// and at whose expense?
func contend(ctx context.Context, e *Env) {
	for _, n := range e.Sizes.Contend {
		t := table{e, Contend, ContendCase(n), 2}
		t.rounds(ctx, 5, e.lockers(), func(ctx context.Context, round int, c contest.Contestant) error {
			key := fmt.Sprintf("bench/contend/%s/%d/%d", c.Name, n, round)
			f, err := t.fight(ctx, c, n, key, contendFor, nil)
			if err != nil {
				return err
			}
			locks := float64(f.locks())
			t.add(c.Name, ContendRate, report.Rate, round, locks/f.took.Seconds())
			t.add(c.Name, "wait p50", report.Nanoseconds, round, stat.Median(f.waits))
			t.add(c.Name, ContendWait, report.Nanoseconds, round, stat.Percentile(f.waits, 99))
			t.add(c.Name, "p99.9", report.Nanoseconds, round, stat.Percentile(f.waits, 99.9))
			t.add(c.Name, "longest", report.Nanoseconds, round, float64(slices.Max(f.waits)))
			t.add(c.Name, "changes of owner", report.Share, round, float64(f.changes)/max(locks-1, 1))
			t.add(c.Name, "fewest of a client", report.Plain, round, float64(slices.Min(f.turns)))
			t.add(c.Name, "most", report.Plain, round, float64(slices.Max(f.turns)))
			if round%countEvery != 0 {
				return nil
			}
			f, err = t.fight(ctx, c, n, key+"/counted", contendCount, wire.NewCounter(e.Protocol))
			if err == nil {
				t.add(c.Name, ContendCommands, report.Plain, round, float64(f.sent)/max(float64(f.locks()), 1))
			}
			return err
		})
	}
}

// fight lets n clients compete for a time.
func (t table) fight(ctx context.Context, c contest.Contestant, n int, key string, d time.Duration, counter *wire.Counter) (*fight, error) {
	o := contest.Options{TTL: t.env.TTL}
	if counter != nil {
		o.Dial = counter.Dial
	}
	clients, err := openMany(ctx, c, o, n)
	if err != nil {
		return nil, err
	}
	defer closeAll(clients)
	count := func() int64 {
		if counter == nil {
			return 0
		}
		return counter.Read().Commands
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	f := &fight{turns: make([]int, n), owner: -1}
	var wg sync.WaitGroup
	before, start := count(), time.Now()
	for i, client := range clients {
		wg.Go(func() { f.fight(ctx, i, client, key) })
	}
	wait(ctx, d)
	f.over.Store(true)
	f.sent, f.took = count()-before, time.Since(start)
	cancel()
	wg.Wait()
	return f, f.failed
}

// fight is the common state of clients that compete.
type fight struct {
	over atomic.Bool
	took time.Duration
	sent int64 // commands

	mu      sync.Mutex
	turns   []int           // of each client
	waits   []time.Duration // for each lock; for those that wait in the end, what they have waited so far
	owner   int             // who had the lock last, or -1
	changes int             // of owner
	failed  error
}

func (f *fight) fight(ctx context.Context, i int, c contest.Client, key string) {
	for !f.over.Load() {
		start := time.Now()
		held, err := c.Lock(ctx, key)
		f.waited(i, time.Since(start))
		if err == nil {
			err = held.Release(context.Background())
		}
		if err != nil && !f.over.Load() {
			f.mu.Lock()
			f.failed = errors.Join(f.failed, fmt.Errorf("client %d: %w", i, err))
			f.mu.Unlock()
			return
		}
	}
}

func (f *fight) waited(i int, d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waits = append(f.waits, d)
	if f.over.Load() {
		return // granted on the way out, or not at all
	}
	if f.owner >= 0 && f.owner != i {
		f.changes++
	}
	f.turns[i]++
	f.owner = i
}

func (f *fight) locks() int {
	sum := 0
	for _, n := range f.turns {
		sum += n
	}
	return sum
}
