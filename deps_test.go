package fencelock_test

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The root module depends on nothing, so that the user of one backend never sees
// the dependencies of another; see docs/decisions.
func TestStandardLibraryOnly(t *testing.T) {
	out, err := goWithoutWork("list", "-deps", "-test", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for pkg := range strings.Lines(string(out)) {
		if !strings.HasPrefix(pkg, "github.com/fencelock/fencelock") {
			t.Errorf("the root module depends on %s", pkg)
		}
	}
	mod, err := goWithoutWork("list", "-m", "all").Output()
	if err != nil {
		t.Fatalf("go list -m: %v", err)
	}
	if modules := strings.Fields(string(mod)); len(modules) != 1 {
		t.Errorf("the root module requires %v", modules[1:])
	}
}

// Only the conformance suite may bring package testing into a program, and only
// when it is imported.
func TestNoTestingInProduction(t *testing.T) {
	out, err := goWithoutWork("list", "-deps", ".", "./driver", "./fencing", "./backend/mem").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for pkg := range strings.FieldsSeq(string(out)) {
		if pkg == "testing" {
			t.Error("package testing is linked into programs that use fencelock")
		}
	}
}

// The contract stands below what is built on it: package fencelock and the backends import
// package driver, and never the other way round.
func TestDriverImportsNothingAbove(t *testing.T) {
	const module = "github.com/fencelock/fencelock"
	out, err := goWithoutWork("list", "-deps", "./driver/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	for pkg := range strings.FieldsSeq(string(out)) {
		path, ours := strings.CutPrefix(pkg, module)
		top := strings.Split(path+"/", "/")[min(1, strings.Count(path, "/"))]
		if ours && !slices.Contains([]string{"driver", "fencing", "internal"}, top) {
			t.Errorf("a package of driver/... needs %s", pkg)
		}
	}
}

func goWithoutWork(args ...string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	return cmd
}
