package fencelock_test

import (
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The variable is for examples that are run by hand; here it would send one to a
// server.
func init() { _ = os.Unsetenv("FENCELOCK_URL") }

var (
	goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")
	link    = regexp.MustCompile(`\]\(([^)#]+)(#[^)]*)?\)`)
)

// Every Go snippet in the README is the body of an example that is compiled and
// run; and what looks like a program is one.
func TestREADMEIsCompiled(t *testing.T) {
	readme := read(t, "README.md")
	examples := exampleBodies(t)
	snippets := goBlock.FindAllStringSubmatch(readme, -1)
	if len(snippets) == 0 {
		t.Fatal("no Go in README.md")
	}
	for i, m := range snippets {
		code := m[1]
		if strings.HasPrefix(code, "package main") {
			runProgram(t, code)
			code = body(t, code, "main")
		} else {
			code = body(t, "package p\nfunc snippet() {\n"+code+"}\n", "snippet")
		}
		if name, ok := examples[code]; ok {
			t.Logf("snippet %d is %s", i+1, name)
		} else {
			t.Errorf("snippet %d is not the body of an example in example_test.go:\n%s", i+1, code)
		}
	}
}

// A document is short enough to be read, and its links lead somewhere.
func TestDocuments(t *testing.T) {
	if _, err := os.Stat("go.work"); err != nil {
		t.Skip("this is a copy of the root module only")
	}
	if n := strings.Count(read(t, "README.md"), "\n"); n > 150 {
		t.Errorf("README.md has %d lines; 150 are enough", n)
	}
	documents, err := filepath.Glob("docs/*/*.md")
	if err != nil || len(documents) == 0 {
		t.Fatalf("no documents: %v", err)
	}
	more, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	documents = append(documents, more...)
	documents = append(documents, "README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "examples/README.md")
	for _, doc := range documents {
		for _, m := range link.FindAllStringSubmatch(read(t, doc), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(doc), m[1])); err != nil {
				t.Errorf("%s: the link to %s is dead", doc, m[1])
			}
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// exampleBodies maps the body of each example in example_test.go to its name.
func exampleBodies(t *testing.T) map[string]string {
	t.Helper()
	source := read(t, "example_test.go")
	file, err := parser.ParseFile(token.NewFileSet(), "", source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	bodies := make(map[string]string)
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Example") {
			bodies[body(t, source, f.Name.Name)] = f.Name.Name
		}
	}
	return bodies
}

// body returns what is between the braces of a function, formatted and indented as
// outside of one, without the comment that says what an example prints.
func body(t *testing.T, source, name string) string {
	t.Helper()
	formatted, err := format.Source([]byte(source))
	if err != nil {
		t.Fatalf("%v in\n%s", err, source)
	}
	source = string(formatted)
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", source, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == name {
			inside := source[fset.Position(f.Body.Lbrace).Offset+1 : fset.Position(f.Body.Rbrace).Offset]
			inside, _, _ = strings.Cut(inside, "// Output:")
			return strings.TrimSpace(strings.ReplaceAll(inside, "\n\t", "\n"))
		}
	}
	t.Fatalf("no function %s in\n%s", name, source)
	return ""
}

// runProgram runs a program in the root module.
func runProgram(t *testing.T, code string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "run", file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v: %v\n%s", cmd, err, out)
	}
}
