package sim

import (
	"os/exec"
	"testing"
)

// mutant is a way to be wrong, in which mode it shows, and within how many seeds it must: many times as many as it took
// when it was written.
type mutant struct {
	name     string
	mode     mode
	seeds    uint64
	mutation func() mutation
}

func always(w mutation) func() mutation { return func() mutation { return w } }

var mutants = []mutant{
	{"no write-back", vanish, 500, always(mutation{request: noWriteBack})},
	{"unchecked write-back", vanish, 3000, always(mutation{node: uncheckedWriteBack})},
	{"number of the try reused", lossy, 500, always(mutation{request: sameTry})},
	{"counters lost by a restart", restart, 3000, always(mutation{countersLost: map[restartKind]bool{empty: true}})},
	{"node replaced without its counters", restart, 3000, always(mutation{countersLost: map[restartKind]bool{replaced: true}})},
	{"restart that answers at once", restart, 500, always(mutation{noDelay: true})},
	{"renewal that acquires", lossy, 500, always(mutation{node: acquiringRenewal})},
	{"repair that counts at once", vanish, 2000, repairCounts},
	{"leases are not released", faultless, 100, always(mutation{request: unreleased})},
	{"late packets are not kept out", lossy, 500, always(mutation{request: noKeepOut})},
	{"the end of a try ends higher ones", lossy, 2000, always(mutation{node: endsAnyTry})},
	{"leases end early on the nodes", lossy, 500, always(mutation{node: endsEarly})},
	{"a listing scans one node", lossy, 500, always(mutation{request: scansOneNode})},
	{"packets for another boot are answered", restart, 500, always(mutation{anyBoot: true})},
}

// TestMutants breaks redlock in one way after the other, and sees that the simulation notices.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes long")
	}
	if raced {
		return // TestWithoutDetector
	}
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			for seed := uint64(m.mode); seed < m.seeds*uint64(modes); seed += uint64(modes) {
				if _, failure := simulate(t, seed, m.mutation(), nil); failure != "" {
					t.Logf("caught by seed %d, %d of its mode: %s", seed, seed/uint64(modes)+1, failure)
					return
				}
			}
			t.Errorf("not caught in %d seeds", m.seeds)
		})
	}
}

// TestWithoutDetector runs what is about no race, and takes many times as long with the race detector, without it.
func TestWithoutDetector(t *testing.T) {
	if testing.Short() || !raced {
		return
	}
	out, err := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-run", "^(TestExploreTokens|TestMutants)$", "-v", ".").CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
