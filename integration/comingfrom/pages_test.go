package comingfrom_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	embedded = regexp.MustCompile("(?s)<!-- (integration/comingfrom/[a-z]+/[a-z]+\\.go) -->\n```go\n(.*?)```\n")
	links    = regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
)

// The code on each page is that of the file it names: the program before as a whole, of the
// others a part.
func TestPagesShowThePrograms(t *testing.T) {
	const root, dir = "../..", "../../docs/coming-from"
	for _, p := range pages {
		text := read(t, filepath.Join(dir, p.name+".md"))
		shown := make(map[string]bool)
		for _, m := range embedded.FindAllStringSubmatch(text, -1) {
			file, code := m[1], m[2]
			shown[filepath.Base(file)] = true
			if want := "integration/comingfrom/" + p.dir; filepath.Dir(file) != want {
				t.Errorf("%s.md shows %s, which is not in %s", p.name, file, want)
			}
			source := read(t, filepath.Join(root, file))
			whole := strings.HasSuffix(file, "before.go")
			if whole && source != code || !strings.HasSuffix(source, code) || strings.Count(code, "\n") < 10 {
				t.Errorf("%s.md: the code is not that of %s", p.name, file)
			}
		}
		for _, file := range []string{"before.go", "after.go", "rolling.go"} {
			if !shown[file] {
				t.Errorf("%s.md does not show %s", p.name, file)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.md"))
	if err != nil || len(files) != len(pages)+1 {
		t.Errorf("%v, %v: want a page for each library, and README.md", files, err)
	}
	for _, file := range files {
		for _, m := range links.FindAllStringSubmatch(read(t, file), -1) {
			if _, err := os.Stat(filepath.Join(dir, m[1])); err != nil {
				t.Errorf("%s: dead link: %v", filepath.Base(file), err)
			}
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
