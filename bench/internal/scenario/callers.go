package scenario

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/report"
)

// CallersRate is how many locks a second are taken and freed.
const CallersRate = "pairs/s"

// callersFor is how long a round lasts.
const callersFor = 200 * time.Millisecond

// CallersCase names the case of a size.
func CallersCase(n int) string { return fmt.Sprintf("%d callers", n) }

// callers are many goroutines of one process, each on a key of its own.
func callers(ctx context.Context, e *Env) {
	for _, n := range e.Sizes.Callers {
		t := table{e, Callers, CallersCase(n), 1}
		clients := map[string]contest.Client{}
		t.rounds(ctx, 11, e.Contestants, func(ctx context.Context, round int, c contest.Contestant) (err error) {
			if clients[c.Name] == nil {
				if clients[c.Name], err = openOne(ctx, c, contest.Options{TTL: e.TTL}); err != nil {
					return err
				}
				if _, err := rate(ctx, clients[c.Name], n, callersFor/4); err != nil { // fills the pool
					return err
				}
			}
			before, err := e.Meter.read(ctx)
			if err != nil {
				return err
			}
			r, err := rate(ctx, clients[c.Name], n, callersFor)
			if err != nil {
				return err
			}
			t.add(c.Name, CallersRate, report.Rate, round, r.pairs/r.took.Seconds())
			after, err := e.Meter.read(ctx)
			if err == nil && !c.Elsewhere {
				t.addWork(c.Name, round, (after.Writes-before.Writes)/r.pairs, (after.Syncs-before.Syncs)/r.pairs)
			}
			return err
		})
		for _, c := range clients {
			closeAll([]contest.Client{c})
		}
	}
}

// done is what some goroutines got done.
type done struct {
	pairs float64
	took  time.Duration
}

// rate counts the pairs of n goroutines in a time. It runs until the last pair that was begun is done.
func rate(ctx context.Context, client contest.Client, n int, d time.Duration) (done, error) {
	var (
		stop  atomic.Bool
		pairs atomic.Int64
		wg    sync.WaitGroup
		start = make(chan struct{})
		fail  = make(chan error, n)
	)
	for i := range n {
		key := fmt.Sprintf("bench/callers/%d", i)
		wg.Go(func() {
			<-start
			own := int64(0)
			for !stop.Load() {
				if err := pair(ctx, client, key); err != nil {
					fail <- err
					break
				}
				own++
			}
			pairs.Add(own)
		})
	}
	began := time.Now()
	close(start)
	time.Sleep(d)
	stop.Store(true)
	wg.Wait()
	took := time.Since(began)
	select {
	case err := <-fail:
		return done{}, err
	default:
		return done{float64(pairs.Load()), took}, nil
	}
}
