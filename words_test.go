package fencelock_test

import (
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// historical are files that quote what was said at their time.
var historical = []string{"CHANGELOG.md", "docs/decisions/", "docs/track-record.md", "findings/"}

// lists are the documents that name the words which others avoid.
var lists = []string{"CONTRIBUTING.md", "docs/glossary.md"}

// Comments, documents and strings say one word for one thing. The words to avoid, and what we say
// instead, are the table of CONTRIBUTING.md, under "Words".
func TestWords(t *testing.T) {
	if _, err := os.Stat("go.work"); err != nil {
		t.Skip("this is a copy of the root module only")
	}
	words := avoided(t)
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if name := d.Name(); file != "." && strings.HasPrefix(name, ".") || name == "testdata" {
				return filepath.SkipDir
			}
			return nil
		case isOneOf(filepath.ToSlash(file), historical) || isOneOf(filepath.ToSlash(file), lists):
			return nil
		}
		for _, p := range prose(t, file) {
			for _, w := range words {
				if at := w.matches.FindStringIndex(p.text); at != nil {
					t.Errorf("%s:%d: %q: say %s (CONTRIBUTING.md, Words)", file, p.line+strings.Count(p.text[:at[0]], "\n"), w.not, w.but)
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// word is a row of the table: what to say instead of something.
type word struct {
	not, but string
	matches  *regexp.Regexp
}

// avoided reads the table under "Words" in CONTRIBUTING.md.
func avoided(t *testing.T) []word {
	t.Helper()
	_, after, _ := strings.Cut(read(t, "CONTRIBUTING.md"), "\n## Words\n")
	section, _, _ := strings.Cut(after, "\n## ")
	var words []word
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != 2 || strings.HasPrefix(line, "|---") || strings.TrimSpace(cells[0]) == "not" {
			continue
		}
		but := strings.TrimSpace(cells[1])
		for not := range strings.SplitSeq(cells[0], ",") {
			not = strings.TrimSpace(not)
			// A phrase may be broken over lines of a comment.
			pattern := strings.ReplaceAll(regexp.QuoteMeta(not), " ", `\s+(?://\s*)?`)
			words = append(words, word{not, but, regexp.MustCompile(`(?i)\b` + pattern + `\b`)})
		}
	}
	if len(words) == 0 {
		t.Fatal(`CONTRIBUTING.md has no table under "Words"`)
	}
	return words
}

// text is a piece of prose, which begins in a line of its file.
type text struct {
	line int
	text string
}

// prose returns the comments of a Go file, with its string literals if it is not a test; the comments of
// a script; a whole document; and nothing of other files.
func prose(t *testing.T, file string) []text {
	t.Helper()
	switch filepath.Ext(file) {
	case ".md":
		return []text{{1, read(t, file)}}
	case ".lua":
		return scriptComments(read(t, file), "--")
	case ".sh", ".yml", ".yaml":
		return scriptComments(read(t, file), "#")
	case ".go":
		return goProse(read(t, file), !strings.HasSuffix(file, "_test.go"))
	}
	return nil
}

// names are of settings and the like, which others chose: they have dots in them, or two hyphens.
var names = regexp.MustCompile(`\w+(\.\w+)+|\w+(-\w+){2,}`)

func goProse(code string, withStrings bool) []text {
	var (
		fset     = token.NewFileSet()
		position = fset.AddFile("", fset.Base(), len(code))
		s        scanner.Scanner
		all      []text
	)
	s.Init(position, []byte(code), nil, scanner.ScanComments)
	for next := -1; ; {
		at, tok, literal := s.Scan()
		line := position.Line(at)
		switch {
		case tok == token.EOF:
			return all
		case tok == token.STRING && withStrings:
			all, next = append(all, text{line, names.ReplaceAllString(literal, "")}), -1
		case tok == token.COMMENT:
			if line == next { // the comment goes on
				all[len(all)-1].text += "\n" + literal
			} else {
				all = append(all, text{line, literal})
			}
			next = line + 1 + strings.Count(literal, "\n")
		}
	}
}

// scriptComments returns what follows a mark in each line, such as "--" of Lua.
func scriptComments(code, mark string) []text {
	var all []text
	n, next := 0, -1
	for line := range strings.Lines(code) {
		n++
		_, comment, ok := strings.Cut(line, mark)
		switch {
		case !ok:
		case n == next: // the comment goes on
			all[len(all)-1].text += comment
			next++
		default:
			all, next = append(all, text{n, comment}), n+1
		}
	}
	return all
}

func isOneOf(file string, names []string) bool {
	for _, name := range names {
		if file == name || strings.HasSuffix(name, "/") && strings.HasPrefix(file, name) {
			return true
		}
	}
	return false
}
