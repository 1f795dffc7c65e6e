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
)

const turnsFor = 500 * time.Millisecond

// TurnsGap is the time from a release to the grant of another client.
const TurnsGap = "gap p50"

// TurnsCase names the case of a size.
func TurnsCase(n int) string { return fmt.Sprintf("%d clients in turn", n) }

// turns are clients that all want the same lock again and again: does everybody get it, and how soon after the other?
func turns(ctx context.Context, e *Env) {
	for _, n := range e.Sizes.Turns {
		t := table{e, Turns, TurnsCase(n), 1}
		// Two are the case that a budget looks at, and the one that varies most.
		t.rounds(ctx, max(3, 18/n), e.lockers(), func(ctx context.Context, round int, c contest.Contestant) error {
			p, err := takeTurns(ctx, e, c, n, fmt.Sprintf("bench/turns/%s/%d/%d", c.Name, n, round))
			if err != nil {
				return err
			}
			if len(p.gaps) > 0 {
				t.add(c.Name, TurnsGap, report.Nanoseconds, round, stat.Median(p.gaps))
				t.add(c.Name, "gap p99", report.Nanoseconds, round, stat.Percentile(p.gaps, 99))
			}
			t.add(c.Name, "turns", report.Plain, round, float64(p.total()))
			t.add(c.Name, "fewest of a client", report.Plain, round, float64(slices.Min(p.turns)))
			t.add(c.Name, "most", report.Plain, round, float64(slices.Max(p.turns)))
			t.add(c.Name, "changes of owner", report.Share, round, float64(len(p.gaps))/float64(max(p.total()-1, 1)))
			return nil
		})
	}
}

// takeTurns lets n clients compete for a time.
func takeTurns(ctx context.Context, e *Env, c contest.Contestant, n int, key string) (*play, error) {
	clients, err := openMany(ctx, c, contest.Options{TTL: e.TTL}, n)
	if err != nil {
		return nil, err
	}
	defer closeAll(clients)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &play{turns: make([]int, n), owner: -1}
	var wg sync.WaitGroup
	p.start = time.Now()
	for i, client := range clients {
		wg.Go(func() { p.play(ctx, i, client, key) })
	}
	time.Sleep(turnsFor)
	p.over.Store(true)
	cancel()
	wg.Wait()
	return p, p.failed
}

// play is the common state of clients that take turns.
type play struct {
	start time.Time
	over  atomic.Bool

	mu     sync.Mutex
	turns  []int           // of each client
	gaps   []time.Duration // from a release to the grant of another client
	owner  int             // who had the lock last, or -1
	freed  time.Time       // just before its release was called
	last   time.Time       // of the last grant
	failed error
}

func (p *play) play(ctx context.Context, i int, c contest.Client, key string) {
	for !p.over.Load() {
		held, err := c.Lock(ctx, key)
		if err == nil {
			p.granted(i)
			err = held.Release(context.Background())
		}
		if err != nil && !p.over.Load() {
			p.mu.Lock()
			p.failed = errors.Join(p.failed, err)
			p.mu.Unlock()
			return
		}
	}
}

// granted is called by the one that has just got the lock and is about to free it.
func (p *play) granted(i int) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over.Load() {
		return // granted on the way out
	}
	if p.owner >= 0 && p.owner != i {
		p.gaps = append(p.gaps, now.Sub(p.freed))
	}
	p.turns[i]++
	p.last, p.owner, p.freed = now, i, time.Now()
}

func (p *play) total() int {
	sum := 0
	for _, n := range p.turns {
		sum += n
	}
	return sum
}
