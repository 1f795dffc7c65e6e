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
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// The variable is for examples that are run by hand; here it would send one to a
// server.
func init() { _ = os.Unsetenv("FENCELOCK_URL") }

var (
	goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")
	link    = regexp.MustCompile(`\]\(([^)#]*)(#[^)]*)?\)`)
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
			t.Errorf("snippet %d is not the body of an example in example*_test.go:\n%s", i+1, code)
		}
	}
}

// The README is short enough to be read, and its tables narrow enough to be looked at.
func TestREADMEIsShort(t *testing.T) {
	const maxWords, maxColumns, maxCell = 1000, 5, 80
	readme := read(t, "README.md")
	if n := len(strings.Fields(readme)); n >= maxWords {
		t.Errorf("README.md has %d words, and must have fewer than %d: move details to docs", n, maxWords)
	}
	for line := range strings.Lines(readme) {
		if !strings.HasPrefix(line, "|") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) > maxColumns {
			t.Errorf("a table of README.md has %d columns, more than %d: %s", len(cells), maxColumns, line)
		}
		for _, cell := range cells {
			if n := utf8.RuneCountInString(link.ReplaceAllString(cell, "]")); n > maxCell {
				t.Errorf("a cell of README.md has %d characters, more than %d: %s", n, maxCell, cell)
			}
		}
	}
}

// Links in documents lead to a file that exists, and to a heading of it.
func TestDocuments(t *testing.T) {
	if _, err := os.Stat("go.work"); err != nil {
		t.Skip("this is a copy of the root module only")
	}
	for _, doc := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, doc), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			target := filepath.Join(filepath.Dir(doc), m[1])
			if m[1] == "" {
				target = doc
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link to %s is dead", doc, m[1])
			} else if m[2] != "" && strings.HasSuffix(target, ".md") && !hasAnchor(read(t, target), m[2]) {
				t.Errorf("%s: %s has no heading for %s", doc, target, m[2])
			}
		}
	}
}

// A test that a document names, or begins the name of, exists, and so does its directory:
// somebody may want to run it.
func TestDocumentsNameTests(t *testing.T) {
	if _, err := os.Stat("go.work"); err != nil {
		t.Skip("this is a copy of the root module only")
	}
	var names []string
	declared := regexp.MustCompile(`(?m)^func ((?:Test|Example|Fuzz|Benchmark)\w*)\(`)
	err := filepath.WalkDir(".", func(file string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.HasSuffix(file, "_test.go") {
			for _, m := range declared.FindAllStringSubmatch(read(t, file), -1) {
				names = append(names, m[1])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range documents(t) {
		if doc == "CHANGELOG.md" || strings.HasPrefix(filepath.ToSlash(doc), "docs/decisions/") {
			continue // they say what was there at their time
		}
		for _, named := range regexp.MustCompile(`\bTest[A-Z]\w*`).FindAllString(read(t, doc), -1) {
			if !slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, named) }) {
				t.Errorf("%s names %s, which no test is called", doc, named)
			}
		}
		for _, m := range regexp.MustCompile(`[^\w.]\./([a-z][\w/-]*)`).FindAllStringSubmatch(read(t, doc), -1) {
			_, fromRoot := os.Stat(m[1])
			_, fromHere := os.Stat(filepath.Join(filepath.Dir(doc), m[1]))
			if fromRoot != nil && fromHere != nil {
				t.Errorf("%s names ./%s, which is not there", doc, m[1])
			}
		}
	}
}

// Each backend has a heading with the same lines, in the same order.
func TestGuaranteesAreComplete(t *testing.T) {
	lines := []string{
		"Declared guarantee", "One holder at a time", "Tokens rise through", "Order of waiters", "A waiter learns of its turn",
		"A holder or waiter that dies", "A loss is told", "TTL", "Not promised",
	}
	page := read(t, "docs/guarantees.md")
	dirs, err := filepath.Glob("backend/*/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	below, err := filepath.Glob("backend/*/*/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(dirs, below...) {
		var section string
		for s := range strings.SplitSeq(page, "\n## ") {
			if strings.Contains(s, "[Package page](../"+filepath.ToSlash(file)+")") {
				section = s
			}
		}
		if section == "" {
			t.Errorf("docs/guarantees.md has no heading with the page of %s", filepath.Dir(file))
			continue
		}
		var found []string
		for _, m := range regexp.MustCompile(`(?m)^\* \*\*(.*?)\*\*:`).FindAllStringSubmatch(section, -1) {
			found = append(found, m[1])
		}
		if !slices.Equal(found, lines) {
			t.Errorf("docs/guarantees.md has of %s %q, want %q", filepath.Dir(file), found, lines)
		}
	}
}

// Each document is listed in docs/README.md, and each decision in the list of its directory.
func TestDocumentsAreListed(t *testing.T) {
	index, decisions := read(t, "docs/README.md"), read(t, "docs/decisions/README.md")
	for _, doc := range documents(t) {
		name, below := strings.CutPrefix(filepath.ToSlash(doc), "docs/")
		if !below || name == "README.md" || strings.HasPrefix(name, "decisions/") || strings.HasPrefix(name, "coming-from/") {
			if decision, is := strings.CutPrefix(name, "decisions/"); is && decision != "README.md" && !strings.Contains(decisions, "]("+decision+")") {
				t.Errorf("docs/decisions/README.md does not list %s", decision)
			}
			continue // the last two by their directories
		}
		if !strings.Contains(index, "]("+name+")") {
			t.Errorf("docs/README.md does not list %s", name)
		}
	}
}

// documents are all Markdown files that readers meet.
func documents(t *testing.T) []string {
	t.Helper()
	documents := []string{"README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "examples/README.md", "bench/README.md", "integration/README.md"}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md"} {
		found, err := filepath.Glob(pattern)
		if err != nil || len(found) == 0 {
			t.Fatalf("no documents %s: %v", pattern, err)
		}
		documents = append(documents, found...)
	}
	return documents
}

// hasAnchor reports whether a document has a heading that GitHub gives the anchor.
func hasAnchor(document, anchor string) bool {
	for line := range strings.Lines(document) {
		if heading := strings.TrimLeft(line, "#"); heading != line && "#"+slug(heading) == anchor {
			return true
		}
	}
	return false
}

// slug is the anchor that GitHub makes of a heading: lower case, hyphens for spaces, and
// no other signs.
func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r):
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(heading))
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// exampleBodies maps the body of each example of the root package to its name.
func exampleBodies(t *testing.T) map[string]string {
	t.Helper()
	names, err := filepath.Glob("example*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	bodies := make(map[string]string)
	for _, name := range names {
		source := read(t, name)
		file, err := parser.ParseFile(token.NewFileSet(), "", source, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Example") {
				bodies[body(t, source, f.Name.Name)] = f.Name.Name
			}
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
