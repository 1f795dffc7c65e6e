package fencelock_test

import (
	"cmp"
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What a backend's page shows first: a whole program, how to open it by a URL, and how to
// make it of a client that the application has. A new backend is found by its directory.
func TestBackendsHaveExamples(t *testing.T) {
	dirs, err := filepath.Glob("backend/*/doc.go")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no backends: %v", err)
	}
	below, err := filepath.Glob("backend/*/*/doc.go") // redis/redlock
	if err != nil || len(below) == 0 {
		t.Fatalf("no backends below others: %v", err)
	}
	dirs = append(dirs, below...)
	for _, file := range dirs {
		dir := filepath.Dir(file)
		shown := make(map[string]bool)
		for _, e := range examplesOf(t, dir) {
			shown[e.Name] = true
		}
		for _, name := range []string{"", "Open", "New"} {
			if !shown[name] {
				t.Errorf("%s has no Example%s in its example*_test.go", dir, name)
			}
		}
	}
}

// What names the backends names each of them. The list is a table of CONTRIBUTING.md, for those
// who add a backend.
func TestBackendsAreKnown(t *testing.T) {
	if _, err := os.Stat("go.work"); err != nil {
		t.Skip("this is a copy of the root module only")
	}
	_, after, _ := strings.Cut(read(t, "CONTRIBUTING.md"), "\n### It is known\n")
	places := regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllStringSubmatch(after, -1)
	if len(places) < 20 {
		t.Fatalf("CONTRIBUTING.md has %d places that name the backends", len(places))
	}
	for _, dir := range []string{"backend/*/go.mod", "backend/*/*/doc.go"} {
		dirs, err := filepath.Glob(dir)
		if err != nil || len(dirs) == 0 {
			t.Fatalf("no backends %s: %v", dir, err)
		}
		for _, file := range dirs {
			name := filepath.Base(filepath.Dir(file))
			says := map[string]string{"raftlocal": "raft", "redlock": "(redlock|redis)"}[name]
			named := regexp.MustCompile("(?i)" + cmp.Or(says, regexp.QuoteMeta(name)))
			for _, m := range places {
				for place := range strings.SplitSeq(m[1], ", ") {
					if place = strings.Trim(place, "`"); !isNamed(t, place, named) {
						t.Errorf("%s does not name %s (CONTRIBUTING.md, It is known)", place, name)
					}
				}
			}
		}
	}
}

// isNamed reports whether a file, or one of a directory's, has the name.
func isNamed(t *testing.T, place string, name *regexp.Regexp) (found bool) {
	t.Helper()
	err := filepath.WalkDir(place, func(file string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && name.MatchString(read(t, file)) {
			found = true
			return filepath.SkipAll
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return found
}

// Readers copy an example as the program that is shown for it. It has to be one, and to
// import the backend whose URL it opens: a blank import of its file comes along, a named
// one that the example does not use is left out.
func TestExamplesArePrograms(t *testing.T) {
	err := filepath.WalkDir(".", func(dir string, d os.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); dir != "." && strings.HasPrefix(name, ".") || name == "testdata" {
			return filepath.SkipDir
		}
		for _, e := range examplesOf(t, dir) {
			switch {
			case e.Play == nil:
				t.Errorf("%s: Example%s is not shown as a program", dir, e.Name)
			case opensURL(e.Play) && !importsBlank(e.Play):
				t.Errorf("%s: Example%s opens a URL, and the program that is shown imports no backend: have a blank import in the file", dir, e.Name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The page on testing one's own code shows pieces of tests that run.
func TestTestingYourCodeIsTested(t *testing.T) {
	source := read(t, "backend/mem/example_yourcode_test.go") + read(t, "backend/mem/yourcode_test.go")
	pieces := goBlock.FindAllStringSubmatch(read(t, "docs/testing-your-code.md"), -1)
	if len(pieces) == 0 {
		t.Fatal("no Go in docs/testing-your-code.md")
	}
	for i, m := range pieces {
		if !strings.Contains(source, m[1]) {
			t.Errorf("piece %d is not in the tests of backend/mem:\n%s", i+1, m[1])
		}
	}
}

// examplesOf are the examples of the package in dir, as its page shows them.
func examplesOf(t *testing.T, dir string) []*doc.Example {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, file)
	}
	return doc.Examples(files...)
}

func opensURL(program *ast.File) (opens bool) {
	ast.Inspect(program, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok && s.Sel.Name == "Open" {
			if p, ok := s.X.(*ast.Ident); ok && p.Name == "fencelock" {
				opens = true
			}
		}
		return true
	})
	return opens
}

func importsBlank(program *ast.File) (imports bool) {
	ast.Inspect(program, func(n ast.Node) bool {
		if i, ok := n.(*ast.ImportSpec); ok && i.Name != nil && i.Name.Name == "_" && strings.Contains(i.Path.Value, "/backend/") {
			imports = true
		}
		return true
	})
	return imports
}
