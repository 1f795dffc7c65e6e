package drivertest

import (
	"fmt"
	"slices"

	"github.com/fencelock/fencelock/driver"
)

// Rule is one sentence of the contract and the check that goes with it.
type Rule struct {
	Name     string
	Sentence string

	features  driver.Features  // applies if Want has these
	guarantee driver.Guarantee // applies if Want promises at least this
	hook      string           // needs this hook of the Harness
	tokens    bool             // applies unless Want says that there are none
	serial    bool             // disturbs every client of the server
	check     func(r *fixture)
}

// Rules returns all rules, in the order in which they are run.
func Rules() []Rule {
	return slices.Concat(
		infoRules, exclusionRules, tryRules, waitRules, waitingRules, queueRules, cancelRules, retryRules,
		startRules, renewRules, expiryRules, releaseRules, staleRules, tokenRules,
		inspectRules, listRules, evictRules, closeRules, keyRules, loadRules, stormRules, goroutineRules,
		openRules, outageRules, sessionRules, failoverRules,
	)
}

func ruleIndex(name string) int {
	return slices.IndexFunc(Rules(), func(r Rule) bool { return r.Name == name })
}

// verdict says what is to be done with a rule before it has run.
type verdict int

const (
	run          verdict = iota
	doesNotApply         // nothing to test
	skip                 // something to test, and nobody does: fatal in CI
)

func (rule Rule) verdict(h *Harness) (verdict, string) {
	if !h.Want.Features.Has(rule.features) {
		return doesNotApply, fmt.Sprintf("Want.Features does not claim %v", rule.features)
	}
	if h.Want.Guarantee < rule.guarantee {
		return doesNotApply, fmt.Sprintf("Want.Guarantee is less than %v", rule.guarantee)
	}
	if rule.tokens && h.Want.Tokenless {
		return doesNotApply, "Want says that there are no tokens"
	}
	if why, ok := h.Skip[rule.Name]; ok {
		return skip, "Harness.Skip: " + why
	}
	if rule.hook != "" && !h.hooks()[rule.hook] {
		if why, ok := h.Lacks[rule.hook]; ok {
			return doesNotApply, "Harness.Lacks " + rule.hook + ": " + why
		}
		return skip, "Harness." + rule.hook + " is nil"
	}
	return run, ""
}
