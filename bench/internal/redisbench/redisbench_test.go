package redisbench

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock/bench/internal/scenario"
)

func TestBudgetsAreDistinctAndComplete(t *testing.T) {
	type key struct{ scenario, name, metric, against, base string }
	seen := map[key]bool{}
	cases := map[string]int{}
	for _, b := range append(Budgets(10), beside("now", "before", 10)...) {
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
		if cases[scenario.CallersCase(n)] == 0 {
			t.Errorf("no budget for %d callers", n)
		}
	}
	for _, n := range sizes.Queue {
		if cases[scenario.QueueCase(n)] < 4 {
			t.Errorf("%d budgets for a queue of %d", cases[scenario.QueueCase(n)], n)
		}
	}
}

func TestCPU(t *testing.T) {
	const both = "# CPU\r\nused_cpu_sys:2.5\r\nused_cpu_user:1.25\r\nused_cpu_sys_children:9\r\nused_cpu_user_children:9\r\n"
	for info, want := range map[string]time.Duration{
		both: 3750 * time.Millisecond,
		both + "used_cpu_sys_main_thread:1.000002\r\nused_cpu_user_main_thread:0.5\r\n": 1500002 * time.Microsecond,
	} {
		got, err := CPU(info)
		if err != nil || got.Round(time.Microsecond) != want {
			t.Errorf("%v (%v), want %v of\n%s", got, err, want, info)
		}
	}
	if _, err := CPU("# CPU\r\n"); err == nil {
		t.Error("a server that tells nothing is believed")
	}
}

func TestVersion(t *testing.T) {
	for info, want := range map[string]string{
		"# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n":                     "Redis 7.0.15",
		"# Server\r\nredis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:9.1.2\r\n": "Valkey 9.1.2",
		"# Server\r\n": "Redis of unknown version",
	} {
		if got := version(info); got != want {
			t.Errorf("version %q, want %q", got, want)
		}
	}
}
