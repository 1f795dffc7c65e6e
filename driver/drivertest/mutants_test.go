package drivertest

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/fencelock/fencelock/driver"
)

// mutant is a backend that breaks the contract in one way, and the rules that
// must say so. Others may too.
type mutant struct {
	name  string
	rules []string
	// mutate breaks what the client does, or the server; outside breaks what the
	// client does with what came over the network; world breaks the rest. They
	// are made again for each trial.
	mutate  func(w *world) func(b driver.Backend) driver.Backend
	outside func(w *world) func(b driver.Backend) driver.Backend
	world   func(w *world)
}

func mutants() []mutant {
	return slices.Concat(
		infoMutants, acquireMutants, waitMutants, waitingMutants, deadMutants, queueMutants, retryMutants, tokenMutants,
		renewMutants, releaseMutants, timeMutants, inspectMutants, listMutants, closeMutants, keyMutants, openMutants, failoverMutants,
	)
}

// Every mutant is caught by the rules named for it, whatever the seed, and each
// failure quotes its rule.
func TestMutantsAreCaught(t *testing.T) {
	for _, m := range mutants() {
		t.Run(strings.ReplaceAll(m.name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			for _, seed := range seeds(t, 3) {
				for _, name := range m.rules {
					synctest.Test(t, func(t *testing.T) { m.try(t, seed, name) })
				}
			}
		})
	}
}

func (m mutant) try(t *testing.T, seed uint64, name string) {
	w := newWorld()
	defer w.end()
	if m.mutate != nil {
		w.mutate = m.mutate(w)
	}
	if m.outside != nil {
		w.outside = m.outside(w)
	}
	if m.world != nil {
		m.world(w)
	}
	broken := Check(t.Context(), w.harness(seed), name)
	if len(broken) == 0 {
		t.Errorf("seed %d: rule %s does not notice that %s", seed, name, m.name)
	}
	for i, v := range broken {
		if i == 0 {
			t.Logf("%s: %.120q", name, v.Message)
		}
		if v.Rule.Name != name || !strings.Contains(v.Message, v.Rule.Sentence) {
			t.Errorf("seed %d: the failure does not quote rule %s: %v", seed, name, v)
		}
	}
}

// A rule that no mutant can break may be testing nothing.
func TestEveryRuleHasAMutant(t *testing.T) {
	for _, rule := range Rules() {
		if !slices.ContainsFunc(mutants(), func(m mutant) bool { return slices.Contains(m.rules, rule.Name) }) {
			t.Errorf("no mutant is caught by rule %s", rule.Name)
		}
	}
	for _, m := range mutants() {
		for _, name := range m.rules {
			if ruleIndex(name) < 0 {
				t.Errorf("mutant %q names rule %q, which does not exist", m.name, name)
			}
		}
	}
}
