package drivertest

import "testing"

// Run runs every rule that applies as a subtest of t. Rules that disturb the
// whole server run first, one by one; the others in parallel.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if faults := h.complete(); len(faults) > 0 {
		for _, f := range faults {
			t.Error(f)
		}
		return
	}
	t.Logf("seed %d (Harness.Seed repeats the run)", h.Seed)
	for _, serial := range []bool{true, false} {
		for _, rule := range Rules() {
			if rule.serial == serial {
				runOne(t, &h, rule)
			}
		}
	}
}

func runOne(t *testing.T, h *Harness, rule Rule) {
	t.Helper()
	v, why := rule.verdict(h)
	if v == doesNotApply {
		t.Logf("%s does not apply: %s", rule.Name, why)
		return
	}
	t.Run(rule.Name, func(t *testing.T) {
		switch {
		case v == skip && strict():
			t.Fatalf("skipped, which CI does not allow: %s", why)
		case v == skip:
			t.Skip(why)
		}
		if !rule.serial {
			t.Parallel()
		}
		rec := newRecorder(t.Context(), t.Name())
		rec.log, rec.fail = t.Logf, func(msg string) { t.Error(msg) }
		watch(rec, h, rule)
	})
}
