package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/report"
	"github.com/fencelock/fencelock/bench/internal/stat"
	"github.com/fencelock/fencelock/bench/internal/work"
)

// Columns of Blackhole: the pair while one server is silent, and while all answer.
const (
	BlackholePair    = "p50"
	BlackholeHealthy = "healthy p50"
)

// BlackholeCase names the case of so many callers.
func BlackholeCase(n int) string {
	if n == 1 {
		return AloneCase
	}
	return CallersCase(n)
}

// blackhole is what alone and callers do, with the clients of each round first on healthy servers, and then on servers of
// which one takes all bytes and answers none.
func blackhole(ctx context.Context, e *Env) {
	if e.Blackhole == nil {
		return
	}
	for _, n := range []int{1, 64} {
		t := table{e, Blackhole, BlackholeCase(n), 1}
		t.rounds(ctx, 7, e.lockers(), func(ctx context.Context, round int, c contest.Contestant) error {
			return t.silence(ctx, round, c, n)
		})
	}
}

func (t table) silence(ctx context.Context, round int, c contest.Contestant, n int) error {
	client, err := openOne(ctx, c, contest.Options{TTL: t.env.TTL})
	if err != nil {
		return err
	}
	defer closeAll([]contest.Client{client})
	key := fmt.Sprintf("bench/blackhole/%s/%d/%d", c.Name, n, round)
	if _, err := pairs(ctx, client, n, key+"/warm", callersFor/4); err != nil { // fills the pool
		return err
	}
	healthy, err := pairs(ctx, client, n, key+"/healthy", callersFor)
	if err != nil {
		return err
	}
	end, err := t.env.Blackhole(round)
	if err != nil {
		return err
	}
	silent, err := pairs(ctx, client, n, key, 2*callersFor)
	if err = errors.Join(err, end()); err != nil {
		return err
	}
	t.add(c.Name, BlackholePair, report.Nanoseconds, round, stat.Median(silent))
	t.add(c.Name, BlackholeHealthy, report.Nanoseconds, round, stat.Median(healthy))
	t.add(c.Name, "p99", report.Nanoseconds, round, stat.Percentile(silent, 99))
	t.add(c.Name, "slowest", report.Nanoseconds, round, stat.Percentile(silent, 100))
	return nil
}

// pairs times the pairs of n goroutines, each on a key of its own, for a time, and at least one of each.
func pairs(ctx context.Context, client contest.Client, n int, key string, d time.Duration) ([]time.Duration, error) {
	var (
		wg   sync.WaitGroup
		mu   sync.Mutex
		all  []time.Duration
		errs error
	)
	end := time.Now().Add(d)
	for i := range n {
		key := fmt.Sprintf("%s/%d", key, i)
		wg.Go(func() {
			var own []time.Duration
			var err error
			for start := time.Now(); err == nil && (len(own) == 0 || start.Before(end)); {
				err = work.Pair(ctx, client, key)
				now := time.Now()
				own, start = append(own, now.Sub(start)), now
			}
			mu.Lock()
			defer mu.Unlock()
			all, errs = append(all, own...), errors.Join(errs, err)
		})
	}
	wg.Wait()
	return all, errs
}
