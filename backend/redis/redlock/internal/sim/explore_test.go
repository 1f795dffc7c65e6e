package sim

import (
	"flag"
	"testing"
	"time"
)

var wide = flag.Bool("wide", false, "explore further: minutes, and some GB")

// spreads are the counters of three nodes to begin with, but for which node has which, and for how high
// they are together.
var spreads = [][nodes]uint64{{1, 1, 1}, {1, 1, 2}, {1, 1, 3}, {1, 2, 2}, {1, 2, 3}, {1, 3, 3}}

// explore goes through all that can happen.
func explore(w *ruleMutation, left budget) *explorer {
	e := &explorer{mutation: w}
	for _, counts := range spreads {
		e.begin(counts, left)
	}
	e.run()
	return e
}

// TestExploreTokens: whatever keys vanish, and whichever packets are late or lost, no two grants have the same
// token, and the later one has the greater.
func TestExploreTokens(t *testing.T) {
	budgets := []budget{{}, {vanish: 1}}
	if !raced && !testing.Short() {
		budgets = append(budgets, budget{vanish: 2}, budget{vanish: 1, restart: 1}, budget{vanish: 2, repair: 1}, budget{vanish: 3})
	}
	if *wide {
		budgets = append(budgets, budget{vanish: 4}, budget{vanish: 2, restart: 1}, budget{vanish: 1, restart: 1, repair: 1}, budget{vanish: 2, repair: 2}, budget{vanish: 3, repair: 3})
	}
	for _, b := range budgets {
		began := time.Now()
		e := explore(nil, b)
		if e.found != "" {
			t.Errorf("%+v: %s", b, e.found)
		}
		if e.both == 0 && b != (budget{}) {
			t.Error("this proves nothing: never have both been granted")
		}
		t.Logf("%+v: %d states, %d tries, %d nodes, %d grants, %d times both: %v",
			b, e.seen.n, len(e.try.values), len(e.node.values), e.grants, e.both, time.Since(began).Round(time.Millisecond))
	}
}
