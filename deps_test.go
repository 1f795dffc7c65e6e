package fencelock_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
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

// mostMethods is how many methods a type of a backend may have: with more, each file knows each other, and
// nobody knows which part they are in (decision 0070).
const mostMethods = 25

func TestBackendTypesAreSmall(t *testing.T) {
	methods := make(map[string]int)
	err := filepath.WalkDir("backend", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv != nil {
				methods[filepath.Dir(path)+", "+receiver(f.Recv.List[0].Type)]++
			}
		}
		return nil
	})
	if err != nil || len(methods) < 10 {
		t.Fatalf("%d types were found: %v", len(methods), err)
	}
	for name, n := range methods {
		if n > mostMethods {
			t.Errorf("%s has %d methods, want %d at most: which part of it has a name of its own?", name, n, mostMethods)
		}
	}
}

// receiver is the name of a receiver's type.
func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr: // T[P]
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return "?"
}

func goWithoutWork(args ...string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	return cmd
}
