package machine

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestMutants breaks the machine in one way after the other, and sees that tests notice. The
// code that is shipped knows nothing of it: its sources are patched, at places that patches
// lists, and a test binary is built of them in which one mutant at a time is switched on by the
// environment. Where a source has changed, so that a patch does not fit any more, it says so, and
// the patch must be mended.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a program")
	}
	program := buildMutants(t)
	for _, m := range mutants {
		t.Run(m.name+"/"+m.test, func(t *testing.T) {
			if out, err := runMutant(t, program, m.name, m.test); err == nil {
				t.Errorf("not caught\n%s", out)
			} else if !strings.Contains(out, "--- FAIL: "+m.test) || strings.Contains(out, "panic: ") {
				t.Errorf("it ended in another way: %v\n%s", err, out)
			}
		})
	}
	tests := map[string]bool{}
	for _, m := range mutants {
		tests[m.test] = true
	}
	for test := range tests {
		if out, err := runMutant(t, program, "", test); err != nil {
			t.Errorf("with no mutant switched on: %v\n%s", err, out)
		}
	}
}

func runMutant(t *testing.T, program, name, test string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "-test.run", "^"+test+"$")
	cmd.Env = append(os.Environ(), "RAFTLOCAL_MUTANT="+name)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// buildMutants builds the tests of this package on patched sources.
func buildMutants(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	sources := map[string]string{"mutant_switch.go": mutantSwitch}
	for _, p := range patches {
		if sources[p.file] == "" {
			source, err := os.ReadFile(p.file)
			if err != nil {
				t.Fatal(err)
			}
			sources[p.file] = string(source)
		}
		if n := strings.Count(sources[p.file], p.old); n != 1 {
			t.Fatalf("the patch of %s does not fit any more: this is there %d times, and must be once:\n%s", p.file, n, p.old)
		}
		sources[p.file] = strings.Replace(sources[p.file], p.old, p.put, 1)
	}
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for name, source := range sources {
		path, err := filepath.Abs(name)
		if err != nil {
			t.Fatal(err)
		}
		copied := filepath.Join(dir, name)
		if err := os.WriteFile(copied, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[path] = copied
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, list, 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "mutants.test")
	out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", file, "-o", program, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("the patched sources do not build: %v\n%s", err, out)
	}
	return program
}

const mutantSwitch = `package machine

import "os"

var mutantName = os.Getenv("RAFTLOCAL_MUTANT")

func wrong(name string) bool { return mutantName == name }
`
