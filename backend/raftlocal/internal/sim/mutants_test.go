package sim

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestMutants breaks the code in one way after the other, and sees that the simulation
// notices. The code that is shipped knows nothing of it: its sources are patched, at places
// that patches lists, and a test binary is built of them in which one mutant at a time is
// switched on by the environment. Where the sources have changed, so that a patch does not
// fit any more, it says so, and the patch must be mended.
func TestMutants(t *testing.T) {
	if testing.Short() {
		t.Skip("it builds a program")
	}
	program := buildMutants(t)
	if out, err := runMutant(t, program, mutant{seeds: 30}); err != nil {
		t.Fatalf("with no mutant switched on: %v\n%s", err, out)
	}
	for _, m := range mutants {
		name := m.name
		if m.blind {
			name += " without the referee"
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
	cmd := exec.CommandContext(t.Context(), program, "-test.run", "^TestSim$", "-seeds", fmt.Sprint(m.seeds), "-failures", "1", "-fault", m.fault, fmt.Sprintf("-blind=%v", m.blind))
	cmd.Env = append(os.Environ(), "RAFTLOCAL_MUTANT="+m.name)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// buildMutants builds the test binary of this package on patched sources.
func buildMutants(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	put := func(path string, content string) {
		copied := filepath.Join(dir, fmt.Sprintf("%d.go", len(overlay.Replace)))
		if err := os.WriteFile(copied, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		overlay.Replace[path] = copied
	}
	sources := map[string]string{}
	for _, p := range patches {
		path, err := filepath.Abs(filepath.Join("..", p.file))
		if err != nil {
			t.Fatal(err)
		}
		if sources[path] == "" {
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			sources[path] = string(source)
		}
		if n := strings.Count(sources[path], p.old); n != 1 {
			t.Fatalf("the patch of %s does not fit any more: this is there %d times, and must be once:\n%s", p.file, n, p.old)
		}
		sources[path] = strings.Replace(sources[path], p.old, p.put, 1)
	}
	for path, source := range sources {
		put(path, source)
		pkg := filepath.Base(filepath.Dir(path))
		switches := filepath.Join(filepath.Dir(path), "mutant_switch.go")
		if overlay.Replace[switches] == "" {
			put(switches, fmt.Sprintf(mutantSwitch, pkg))
		}
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

const mutantSwitch = `package %s

import "os"

var mutantName = os.Getenv("RAFTLOCAL_MUTANT")

func wrong(name string) bool { return mutantName == name }
`
