package sim

import (
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"
)

var (
	seeds = flag.Uint64("seeds", 0, "how many seeds; 100 if 0, 20 with the race detector, and 10 with -short")
	first = flag.Uint64("first", 1, "the first of them")
	just  = flag.String("fault", "", "let only this go wrong, or these, with commas in between")
	blind = flag.Bool("blind", false, "see only what clients see: no model")
	most  = flag.Int("failures", 10, "after how many seeds that fail to stop")
	only  = flag.Uint64("seed", 0, "only this seed, with a trace if -v is set")
)

// TestMain has garbage collected seldom: a world is small, and gone after some milliseconds.
func TestMain(m *testing.M) {
	debug.SetGCPercent(1600)
	os.Exit(m.Run())
}

// simulate is one run. raft draws its election timeouts from crypto/rand, so that is seeded too.
func simulate(t *testing.T, seed uint64, trace io.Writer) *world {
	t.Helper()
	cryptotest.SetGlobalRandom(t, seed)
	var only []string
	if *just != "" {
		only = strings.Split(*just, ",")
	}
	w := newWorld(seed, trace, only...)
	if len(w.scenario.faults) == 0 {
		t.Fatalf("there is no fault %q", *just)
	}
	if *blind {
		w.committedLog.model = nil
	}
	w.run()
	return w
}

// replay is the command that runs one seed again.
func replay(seed uint64) string {
	cmd := fmt.Sprintf("go test ./backend/raftlocal/internal/sim -run 'TestSim$' -seed %d -v", seed)
	if *just != "" {
		cmd += fmt.Sprintf(" -fault %q", *just)
	}
	return cmd
}

// TestSim runs many seeds. One that fails is replayed with the command that it tells.
func TestSim(t *testing.T) {
	if *only != 0 {
		var trace io.Writer
		if testing.Verbose() {
			trace = os.Stdout
		}
		w := simulate(t, *only, trace)
		if w.failure != "" {
			t.Errorf("%s\nreplay with: %s", w.failure, replay(*only))
		}
		t.Logf("hash %016x, %d events, %v", w.trace.sum, w.trace.events, w.now)
		return
	}
	n := *seeds
	switch {
	case n != 0:
	case testing.Short():
		n = 10
	case raced:
		n = 20
	default:
		n = 100
	}
	began := time.Now()
	var sum report
	failed := 0
	for seed := *first; seed < *first+n; seed++ {
		w := simulate(t, seed, nil)
		sum.add(w)
		if w.failure != "" {
			t.Errorf("seed %d, %s\nreplay with: %s", seed, w.failure, replay(seed))
			if failed++; failed == *most {
				break
			}
		}
	}
	t.Logf("%v; %.0f seeds/s", &sum, float64(sum.seeds)/time.Since(began).Seconds())
	if lacking := sum.lacking(); lacking != "" && n >= 50 && *just == "" && !*blind {
		t.Errorf("these runs prove nothing: too few %s", lacking)
	}
}

// TestSameSeedIsSameRun runs seeds twice.
func TestSameSeedIsSameRun(t *testing.T) {
	for seed := uint64(1); seed <= 10; seed++ {
		a, b := simulate(t, seed, nil), simulate(t, seed, nil)
		if a.trace.sum != b.trace.sum || a.trace.events != b.trace.events {
			t.Errorf("seed %d: hash %016x after %d events, and then %016x after %d", seed, a.trace.sum, a.trace.events, b.trace.sum, b.trace.events)
		}
	}
}
