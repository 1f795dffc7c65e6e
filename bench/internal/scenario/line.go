package scenario

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/wire"
)

const (
	drainLimit = 6 * time.Second       // for a line to empty, at least
	drainEach  = 10 * time.Millisecond // and as much for each waiter
	stallAfter = 3 * time.Second       // without a grant: whoever still waits has been forgotten
)

// line is a queue of waiters behind a holder. It is built up, let go, and watched until it is empty.
type line struct {
	key     string
	holder  contest.Client
	waiters []contest.Client
	spacing time.Duration // between arrivals, so that the order of arrival is known; 0: as fast as they come
	settle  time.Duration // after the last arrival
	idle    time.Duration // for which the standing line is watched; 0: not at all
	limit   time.Duration // for the line to empty
	counter *wire.Counter // nil: only time is measured
	meter   *Meter        // read only where there is a counter: asking takes time
}

// drained is what a line did.
type drained struct {
	first, all time.Duration // from the holder's release to the first grant and to the last
	order      []int         // waiters in the order of their grants; short when those left were given up
	goroutines int           // while all waited
	known      int           // waiters that the server told of; -1 when it cannot be asked

	enter, idle, toFirst, leave wire.Count

	writes  effort // of the server
	syncs   effort
	watches float64 // that the server keeps for the standing line
}

// effort is what the server did while a line formed, and while it was drained.
type effort struct{ enter, leave float64 }

// each is the effort for one that stood in line: of those that got in, and those that came out.
func (w effort) each(in, out float64) float64 { return w.enter/in + w.leave/out }

func (l line) drain(ctx context.Context) (drained, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	held, err := l.holder.Lock(ctx, l.key)
	if err != nil {
		return drained{}, fmt.Errorf("the holder: %w", err)
	}
	w := &watch{counter: l.counter}
	var wg sync.WaitGroup
	loads := loads{meter: l.meter}
	if l.counter == nil {
		loads.meter = nil
	}
	loads.read(ctx)
	before := w.count()
	for i, c := range l.waiters {
		wg.Go(func() { w.pass(ctx, i, c, l.key) })
		if l.spacing > 0 {
			time.Sleep(l.spacing)
		} else {
			runtime.Gosched()
		}
	}
	time.Sleep(l.settle)

	d := drained{goroutines: runtime.NumGoroutine(), known: l.ask(ctx)}
	d.enter = w.count().Minus(before)
	loads.read(ctx)
	before = w.count()
	time.Sleep(l.idle)
	d.idle = w.count().Minus(before)
	loads.read(ctx)
	before = w.count()

	defer time.AfterFunc(l.limit, cancel).Stop()
	w.mu.Lock()
	w.stalled = time.AfterFunc(stallAfter, cancel)
	w.mu.Unlock()
	defer w.stalled.Stop()
	start := time.Now()
	err = held.Release(context.Background())
	wg.Wait()
	d.leave = w.count().Minus(before)
	loads.read(context.WithoutCancel(ctx))
	if err = errors.Join(err, w.failed, loads.failed); err != nil {
		return drained{}, err
	}
	d.writes = effort{loads.writes(0, 1), loads.writes(2, 3)}
	d.syncs = effort{loads.syncs(0, 1), loads.syncs(2, 3)}
	d.watches = loads.watches(0, 1)
	d.order = w.order
	if len(d.order) > 0 {
		d.first, d.all, d.toFirst = w.first.Sub(start), w.last.Sub(start), w.atFirst.Minus(before)
	}
	return d, nil
}

func (l line) ask(ctx context.Context) int {
	if inspector, ok := l.holder.(contest.Inspector); ok {
		if n, err := inspector.Waiters(ctx, l.key); err == nil {
			return n
		}
	}
	return -1
}

// watch notes the grants of a line.
type watch struct {
	counter *wire.Counter

	mu          sync.Mutex
	order       []int
	first, last time.Time
	atFirst     wire.Count
	failed      error
	stalled     *time.Timer // set once the line has been let go
}

// pass waits in line, takes the lock and hands it on at once.
func (w *watch) pass(ctx context.Context, i int, c contest.Client, key string) {
	held, err := c.Lock(ctx, key)
	if err == nil {
		w.granted(i)
		err = held.Release(context.Background())
	} else if ctx.Err() != nil {
		return // given up: seen from the order, which is short
	}
	if err != nil {
		w.mu.Lock()
		w.failed = errors.Join(w.failed, fmt.Errorf("waiter %d: %w", i, err))
		w.mu.Unlock()
	}
}

func (w *watch) granted(i int) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.order) == 0 {
		w.first, w.atFirst = now, w.count()
	}
	w.order, w.last = append(w.order, i), now
	if w.stalled != nil {
		w.stalled.Reset(stallAfter)
	}
}

func (w *watch) count() wire.Count {
	if w.counter == nil {
		return wire.Count{}
	}
	return w.counter.Read()
}
