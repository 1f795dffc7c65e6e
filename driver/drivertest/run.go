package drivertest

import (
	"testing"

	"github.com/fencelock/fencelock/internal/busy"
)

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
		h := paced(h)
		rec := newRecorder(t.Context(), t.Name())
		rec.log, rec.fail = t.Logf, func(msg string) { t.Error(msg) }
		watch(rec, h, rule)
		if t.Failed() {
			t.Logf("leases were %v, and the machine is %.1f times as slow as its processors", h.TTL, busy.Slowness())
		}
	})
}

// paced returns the harness with the times that a rule has on a machine on which others use
// the processors, too: a lease of a second would run out there while the client that renews it, and
// the server, wait for their turn.
func paced(h *Harness) *Harness {
	times, slow := busy.Times(), *h
	slow.Slack *= times
	if ttl := h.TTL * times; ttl <= h.Want.MaxTTL {
		slow.TTL = ttl
	}
	return &slow
}
