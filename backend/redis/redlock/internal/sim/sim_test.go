package sim

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	seeds = flag.Uint64("seeds", 0, "how many seeds; 200 if 0, 30 with the race detector, and 20 with -short")
	first = flag.Uint64("first", 1, "the first of them")
	most  = flag.Int("failures", 10, "after how many seeds that fail to stop")
	keep  = flag.String("keep", "", "a directory for the traces of seeds that fail")
	only  = flag.Uint64("seed", 0, "only this seed, with a trace if -v is set")
)

// simulate is one run.
func simulate(t *testing.T, seed uint64, mutation mutation, out io.Writer) (w *world, failure string) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		w = newWorld(seed, mode(seed%uint64(modes)), mutation, out)
		failure = w.run()
	})
	return w, failure
}

// TestSim runs many seeds. One that fails is replayed with the command that it tells.
func TestSim(t *testing.T) {
	if *only != 0 {
		var out io.Writer
		if testing.Verbose() {
			out = os.Stdout
		}
		runtime.GOMAXPROCS(1) // more often the same
		if _, failure := simulate(t, *only, mutation{}, out); failure != "" {
			t.Error(failure)
		}
		return
	}
	n := *seeds
	switch {
	case n != 0:
	case raced:
		n = 30
	case testing.Short():
		n = 20
	default:
		n = 200
	}
	began := time.Now()
	var mu sync.Mutex
	var sum tally
	failed, next := 0, *first
	t.Run("seeds", func(t *testing.T) {
		for i := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint("on processor ", i), func(t *testing.T) {
				t.Parallel()
				for {
					mu.Lock()
					seed := next
					next++
					stop := failed >= *most
					mu.Unlock()
					if seed >= *first+n || stop {
						return
					}
					var out io.Writer
					var trace bytes.Buffer
					if *keep != "" {
						out = &trace
					}
					w, failure := simulate(t, seed, mutation{}, out)
					mu.Lock()
					sum.add(&w.sum)
					if failure != "" {
						failed++
						if *keep != "" {
							_ = os.WriteFile(filepath.Join(*keep, fmt.Sprint("seed", seed)), trace.Bytes(), 0o600)
						}
						t.Errorf("seed %d, %s\nreplay with: go test ./backend/redis/redlock/internal/sim -run 'TestSim$' -seed %d -v", seed, failure, seed)
					}
					mu.Unlock()
				}
			})
		}
	})
	t.Logf("%v; %.0f seeds/s", &sum, float64(sum.seeds)/time.Since(began).Seconds())
	if lacking := sum.lacking(); lacking != "" && n >= 50 {
		t.Errorf("these runs prove nothing: too few %s", lacking)
	}
}
