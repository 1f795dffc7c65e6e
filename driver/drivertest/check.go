package drivertest

import (
	"context"
	"fmt"
	"slices"
)

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
