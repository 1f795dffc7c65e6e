package redisbench

import (
	"testing"

	"github.com/fencelock/fencelock/bench/internal/scenario"
)

func TestBudgetsAreDistinctAndComplete(t *testing.T) {
	type key struct{ scenario, name, metric, against, base string }
	seen := map[key]bool{}
	cases := map[string]int{}
	for _, b := range Budgets(10) {
		k := key{b.Scenario, b.Case, b.Metric, b.Against, ""}
		if b.Base != nil {
			k.base = b.Base.Case
		}
		if seen[k] {
			t.Errorf("two budgets for %+v", k)
		}
		seen[k] = true
		cases[b.Case]++
		if b.Bound <= 0 || b.BoundDetail == "" {
			t.Errorf("%+v has no bound that a reader understands", b)
		}
	}
	for _, n := range sizes.Callers {
		if cases[scenario.CallersCase(n)] != 1 {
			t.Errorf("%d budgets for %d callers", cases[scenario.CallersCase(n)], n)
		}
	}
	for _, n := range sizes.Queue {
		if cases[scenario.QueueCase(n)] < 4 {
			t.Errorf("%d budgets for a queue of %d", cases[scenario.QueueCase(n)], n)
		}
	}
}

func TestVersion(t *testing.T) {
	if got := version("# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n"); got != "Redis 7.0.15" {
		t.Errorf("version %q", got)
	}
}
