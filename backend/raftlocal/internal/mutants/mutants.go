// Package mutants builds a package's tests on sources that are broken in known ways, of which
// one at a time is switched on. The code that is shipped knows nothing of it: copies of its
// sources are patched.
package mutants

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Patch is where a source is changed for mutants: Old stands in File once. What is put there asks
// wrong("name of the mutant"). File is relative to the package whose tests they are.
type Patch struct{ File, Old, Put string }

const variable = "RAFTLOCAL_MUTANT"

const switches = `package %s

import "os"

var mutantName = os.Getenv("` + variable + `")

func wrong(name string) bool { return mutantName == name }
`

// Build builds the tests of the package in the working directory on patched sources. Where a
// source has changed, so that a patch does not fit any more, it fails and says so: the patch
// must be mended.
func Build(t *testing.T, patches []Patch) (program string) {
	t.Helper()
	sources := map[string]string{}
	for _, p := range patches {
		path, err := filepath.Abs(p.File)
		if err != nil {
			t.Fatal(err)
		}
		if sources[path] == "" {
			source, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			dir := filepath.Dir(path)
			sources[path] = string(source)
			sources[filepath.Join(dir, "mutant_switch.go")] = fmt.Sprintf(switches, filepath.Base(dir))
		}
		if n := strings.Count(sources[path], p.Old); n != 1 {
			t.Fatalf("the patch of %s does not fit any more: this is there %d times, and must be once:\n%s", p.File, n, p.Old)
		}
		sources[path] = strings.Replace(sources[path], p.Old, p.Put, 1)
	}
	dir := t.TempDir()
	program = filepath.Join(dir, "mutants.test")
	out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-overlay", overlay(t, dir, sources), "-o", program, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("the patched sources do not build: %v\n%s", err, out)
	}
	return program
}

// overlay writes what go build takes in place of the files below some paths.
func overlay(t *testing.T, dir string, sources map[string]string) (file string) {
	t.Helper()
	var list struct{ Replace map[string]string }
	list.Replace = map[string]string{}
	for path, source := range sources {
		copied := filepath.Join(dir, fmt.Sprintf("%d.go", len(list.Replace)))
		if err := os.WriteFile(copied, []byte(source), 0o600); err != nil {
			t.Fatal(err)
		}
		list.Replace[path] = copied
	}
	text, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Run runs the program that Build has built with one mutant, or with none if name is empty.
func Run(t *testing.T, program, name string, args ...string) (out string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), variable+"="+name)
	text, err := cmd.CombinedOutput()
	return string(text), err
}
