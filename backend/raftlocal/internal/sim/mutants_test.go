package sim

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/mutants"
)

// TestMutants breaks the code in one way after the other, and sees that the simulation
// notices.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a program")
	}
	program := mutants.Build(t, patches)
	if out, err := runMutant(t, program, mutant{seeds: 30}); err != nil {
		t.Fatalf("with no mutant switched on: %v\n%s", err, out)
	}
	for _, m := range wrongs {
		name := m.name
		if m.blind {
			name += " without the model"
		}
		t.Run(name, func(t *testing.T) {
			out, err := runMutant(t, program, m)
			if err == nil {
				t.Errorf("not caught in %d seeds\n%s", m.seeds, out)
				return
			}
			found := firstFailure.FindStringSubmatch(out)
			if found == nil {
				t.Errorf("it ended in another way: %v\n%s", err, out)
				return
			}
			t.Logf("caught by seed %s of %d: %s", found[1], m.seeds, found[2])
		})
	}
}

var firstFailure = regexp.MustCompile(`seed (\d+), (.*)`)

func runMutant(t *testing.T, program string, m mutant) (string, error) {
	t.Helper()
	return mutants.Run(t, program, m.name, "-test.run", "^TestSim$", "-seeds", fmt.Sprint(m.seeds), "-failures", "1", "-fault", m.fault, fmt.Sprintf("-blind=%v", m.blind))
}
