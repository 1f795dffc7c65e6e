package statemachine

import (
	"strings"
	"testing"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/mutants"
)

// TestMutants breaks the machine in one way after the other, and sees that tests notice.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a program")
	}
	program := mutants.Build(t, patches)
	for _, m := range wrongs {
		t.Run(m.name+"/"+m.test, func(t *testing.T) {
			if out, err := mutants.Run(t, program, m.name, only(m.test)...); err == nil {
				t.Errorf("not caught\n%s", out)
			} else if !strings.Contains(out, "--- FAIL: "+m.test) || strings.Contains(out, "panic: ") && m.name != mayPanic {
				t.Errorf("it ended in another way: %v\n%s", err, out)
			}
		})
	}
	tests := map[string]bool{}
	for _, m := range wrongs {
		tests[m.test] = true
	}
	for test := range tests {
		if out, err := mutants.Run(t, program, "", only(test)...); err != nil {
			t.Errorf("with no mutant switched on: %v\n%s", err, out)
		}
	}
}

// mayPanic is the mutant after which, with some seeds, a claim is in no list where it must be: the machine cannot
// go on before a promise is seen to be broken.
const mayPanic = "a number is given again after restore"

// only runs one test.
func only(test string) []string { return []string{"-test.run", "^" + test + "$"} }
