package work

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

// kept are many locks that are held at once.
type kept struct {
	held   []contest.Held
	before contest.Footprint
}

func (k *kept) take(ctx context.Context, c contest.Client, w contest.Work) (contest.Done, error) {
	keys, held := make([]string, w.Take), make([]contest.Held, w.Take)
	for i := range keys {
		keys[i] = fmt.Sprintf("%s/%d", w.Key, i)
	}
	k.held, k.before = held, footprint()
	start := time.Now()
	err := InParallel(w.Take, func(i int) (err error) {
		held[i], err = c.Lock(ctx, keys[i])
		return err
	})
	took := time.Since(start)
	if err != nil {
		k.free()
		return contest.Done{}, err
	}
	d := k.look()
	d.Took = took
	runtime.KeepAlive(keys) // they were there before, so they are not part of what is kept
	return d, nil
}

func (k *kept) look() contest.Done {
	now := footprint()
	return contest.Done{Kept: contest.Footprint{Memory: now.Memory - k.before.Memory, Goroutines: now.Goroutines - k.before.Goroutines}}
}

func (k *kept) free() contest.Done {
	errs := make([]error, len(k.held))
	_ = InParallel(len(k.held), func(i int) error {
		if k.held[i] != nil {
			errs[i] = k.held[i].Release(context.Background())
		}
		return nil
	})
	d := contest.Done{}
	for _, err := range errs {
		if err != nil {
			d.Lost++
		}
	}
	k.held = nil
	return d
}

func footprint() contest.Footprint {
	runtime.GC()
	runtime.GC() // the first one only moves pooled objects to the victims
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return contest.Footprint{Memory: int64(m.HeapAlloc + m.StackInuse), Goroutines: runtime.NumGoroutine()}
}
