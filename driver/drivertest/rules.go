package drivertest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/fencelock/fencelock/internal/busy"
)

// Rules returns all rules, in the order in which they are run. Each list is in the file of its subject, with the checks
// of its rules; its mutants are in mutants_*_test.go.
func Rules() []Rule {
	return slices.Concat(
		infoRules,                // keys.go
		exclusionRules, tryRules, // acquire.go
		waitRules, waitingRules, // wait.go
		queueRules, cancelRules, // queue.go
		retryRules,                          // acquire.go
		startRules, renewRules, expiryRules, // lease.go
		releaseRules, staleRules, // release.go
		tokenRules,              // tokens.go
		inspectRules, listRules, // inspect.go
		evictRules,            // release.go
		closeRules,            // client.go
		keyRules,              // keys.go
		loadRules, stormRules, // load.go
		goroutineRules, openRules, // client.go
		outageRules, sessionRules, failoverRules, // outage.go
	)
}

func ruleIndex(name string) int {
	return slices.IndexFunc(Rules(), func(r Rule) bool { return r.Name == name })
}

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

// Violation is a rule that a backend broke.
type Violation struct {
	Rule    Rule   // zero if the harness itself is at fault
	Message string // what happened; quotes the rule
}

func (v Violation) String() string { return v.Rule.Name + ": " + v.Message }

// Check runs the named rules, or all of them, one after the other, and returns
// what was broken. Rules that do not apply are passed over; what would be a
// skipped test is a Violation, so that nothing goes untested unnoticed: choose
// the rules by name instead.
func Check(ctx context.Context, h Harness, names ...string) (broken []Violation) {
	for _, f := range h.complete() {
		broken = append(broken, Violation{Message: f})
	}
	for _, n := range names {
		if ruleIndex(n) < 0 {
			broken = append(broken, Violation{Message: fmt.Sprintf("Check: %q is no rule", n)})
		}
	}
	if len(broken) > 0 {
		return broken
	}
	for _, rule := range Rules() {
		if len(names) > 0 && !slices.Contains(names, rule.Name) {
			continue
		}
		switch v, why := rule.verdict(&h); v {
		case skip:
			broken = append(broken, Violation{rule, "skipped: " + why})
		case run:
			rec := newRecorder(ctx, rule.Name)
			rec.fail = func(msg string) { broken = append(broken, Violation{rule, msg}) }
			watch(rec, &h, rule)
		}
	}
	return broken
}
