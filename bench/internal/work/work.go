// Package work is what callers do while they are measured, in this process or in one of its own. The build of
// another commit does it with the same code, so the package needs nothing but package contest.
package work

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

// For has a client work: where the client is, if that is another process.
func For(c contest.Client) contest.Worker {
	if worker, ok := c.(contest.Worker); ok {
		return worker
	}
	return &worker{client: c}
}

// worker works in this process, on one thing at a time.
type worker struct {
	client contest.Client
	kept   kept
}

func (w *worker) Work(ctx context.Context, do contest.Work) (contest.Done, error) {
	switch {
	case do.Callers > 0:
		return many(ctx, w.client, do)
	case do.Pairs > 0:
		return one(ctx, w.client, do)
	case do.Take > 0:
		return w.kept.take(ctx, w.client, do)
	case do.Look:
		return w.kept.look(), nil
	case do.Free:
		return w.kept.free(), nil
	default:
		return contest.Done{}, errors.New("nothing to do")
	}
}

// Pair takes a lock and frees it. The release has a context of its own, which nothing cancels.
func Pair(ctx context.Context, c contest.Client, key string) error {
	held, err := c.Lock(ctx, key)
	if err != nil {
		return err
	}
	return held.Release(context.Background())
}

// one times each pair of a caller.
func one(ctx context.Context, c contest.Client, w contest.Work) (contest.Done, error) {
	d := contest.Done{Times: make([]time.Duration, w.Pairs), Pairs: float64(w.Pairs)}
	before := used()
	began := time.Now()
	for i := range d.Times {
		start := time.Now()
		if err := Pair(ctx, c, w.Key); err != nil {
			return contest.Done{}, err
		}
		d.Times[i] = time.Since(start)
	}
	d.Took = time.Since(began)
	used().since(before, &d)
	return d, nil
}

// many counts the pairs of several goroutines. It goes on until the last pair that was begun is done.
func many(ctx context.Context, c contest.Client, w contest.Work) (contest.Done, error) {
	var (
		stop  atomic.Bool
		pairs atomic.Int64
		wg    sync.WaitGroup
		start = make(chan struct{})
		fail  = make(chan error, w.Callers)
	)
	for i := range w.Callers {
		key := fmt.Sprintf("%s/%d", w.Key, i)
		wg.Go(func() {
			<-start
			own := int64(0)
			for !stop.Load() {
				if err := Pair(ctx, c, key); err != nil {
					fail <- err
					break
				}
				own++
			}
			pairs.Add(own)
		})
	}
	before := used()
	began := time.Now()
	close(start)
	time.Sleep(w.For)
	stop.Store(true)
	wg.Wait()
	d := contest.Done{Took: time.Since(began), Pairs: float64(pairs.Load())}
	used().since(before, &d)
	select {
	case err := <-fail:
		return contest.Done{}, err
	default:
		return d, nil
	}
}

// usage is what the process has used so far.
type usage struct {
	allocs, bytes uint64
	goroutines    float64
}

func used() usage {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := []metrics.Sample{{Name: "/sched/goroutines-created:goroutines"}}
	metrics.Read(s)
	return usage{m.Mallocs, m.TotalAlloc, float64(s[0].Value.Uint64())}
}

func (u usage) since(before usage, d *contest.Done) {
	d.Allocs, d.AllocBytes = float64(u.allocs-before.allocs), float64(u.bytes-before.bytes)
	d.Goroutines = u.goroutines - before.goroutines
}
