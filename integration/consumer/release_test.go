package consumer

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"
)

// root is the path of the root module, with which those of all others begin.
const root = "github.com/fencelock/fencelock"

// version is higher than any real one; it exists in folders of this test only.
const version = "v0.999.0"

// published is a release that nobody else sees.
type published struct {
	proxy   string   // a module proxy in a folder, with our modules only
	modules []string // the folders of the modules that were tagged
	readme  string   // the README's program
}

// publish makes a release of the work tree as it is, uncommitted changes and all, with
// the program that makes the real ones, and a proxy of its tags.
func publish(t *testing.T) published {
	t.Helper()
	copied := copyTree(t)
	var p published
	p.proxy = t.TempDir()
	// Tidying and listing the modules has the real cache filled with all that they need, with
	// the user's own settings. The consumers then do with the cache.
	t.Log(run(t, copied, alone, "go", "run", "./internal/release", version))
	for tag := range strings.FieldsSeq(run(t, copied, alone, "git", "tag", "--list")) {
		dir := path.Dir(tag)
		p.modules = append(p.modules, dir)
		run(t, filepath.Join(copied, dir), []string{"GOWORK=off"}, "go", "list", "-m", "all")
		p.add(t, copied, tag)
	}
	if !slices.Contains(p.modules, ".") {
		t.Fatalf("the root was not tagged, only %v", p.modules)
	}
	text, err := os.ReadFile(filepath.Join(copied, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(text), "```go\n")
	p.readme, _, _ = strings.Cut(after, "```")
	if !strings.HasPrefix(p.readme, "package main") {
		t.Fatalf("the first Go in README.md is no program:\n%s", p.readme)
	}
	return p
}

// copyTree copies what git knows of the work tree, or would add, to a repository of its own.
func copyTree(t *testing.T) string {
	t.Helper()
	top := strings.TrimSpace(run(t, ".", nil, "git", "rev-parse", "--show-toplevel"))
	to := t.TempDir()
	for name := range strings.SplitSeq(run(t, top, nil, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"), "\x00") {
		info, err := os.Lstat(filepath.Join(top, name))
		if name == "" || err != nil || !info.Mode().IsRegular() {
			continue // err: deleted, and not yet committed
		}
		text, err := os.ReadFile(filepath.Join(top, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(to, name), text, info.Mode().Perm()); err != nil {
			t.Fatal(err)
		}
	}
	// Just after a release there is no news.
	log := filepath.Join(to, "CHANGELOG.md")
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.Replace(text, []byte("## [Unreleased]\n"), []byte("## [Unreleased]\n\n* A test.\n"), 1)
	if err := os.WriteFile(log, text, 0o644); err != nil {
		t.Fatal(err)
	}
	run(t, to, alone, "git", "init", "--quiet", "--initial-branch=main")
	run(t, to, alone, "git", "add", "--all")
	run(t, to, alone, "git", "commit", "--quiet", "--message", "the work tree")
	return to
}

// add publishes what a tag has, as a module proxy makes it of a repository.
func (p published) add(t *testing.T, repository, tag string) {
	t.Helper()
	dir, v := path.Split(tag)
	dir = path.Clean(dir)
	m := module.Version{Path: path.Join(root, dir), Version: v}
	escaped, err := module.EscapePath(m.Path)
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(p.proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(to, 0o755); err != nil {
		t.Fatal(err)
	}
	mod := run(t, repository, alone, "git", "show", tag+":"+path.Join(dir, "go.mod"))
	checkRequires(t, tag, mod)
	for name, text := range map[string]string{
		"list":      v + "\n",
		v + ".info": fmt.Sprintf(`{"Version":%q,"Time":"2026-01-01T00:00:00Z"}`, v),
		v + ".mod":  mod,
	} {
		if err := os.WriteFile(filepath.Join(to, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	f, err := os.Create(filepath.Join(to, v+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	subdir := dir
	if dir == "." {
		subdir = ""
	}
	if err := zip.CreateFromVCS(f, m, repository, tag, subdir); err != nil {
		t.Fatal(err)
	}
}

// checkRequires: of our own modules a released one requires those of the same release.
func checkRequires(t *testing.T, tag, text string) {
	t.Helper()
	mod, err := modfile.Parse("go.mod", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range mod.Require {
		if strings.HasPrefix(r.Mod.Path, root) && r.Mod.Version != version {
			t.Errorf("%s requires %s", tag, r.Mod)
		}
	}
}

// alone has git do without the settings of whoever runs the test.
var alone = []string{
	"GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
	"GIT_AUTHOR_NAME=test", "GIT_AUTHOR_EMAIL=test@example.com", "GIT_COMMITTER_NAME=test", "GIT_COMMITTER_EMAIL=test@example.com",
}

// run runs a command and returns what it prints. In a hook git is told by variables which
// repository it works on; here it is that of the folder.
func run(t testing.TB, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	cmd.Env = slices.DeleteFunc(os.Environ(), func(s string) bool {
		return strings.HasPrefix(s, "GIT_DIR=") || strings.HasPrefix(s, "GIT_INDEX_FILE=") || strings.HasPrefix(s, "GIT_WORK_TREE=")
	})
	cmd.Env = append(cmd.Env, env...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %s: %v\n%s%s", filepath.Base(dir), strings.Join(cmd.Args, " "), err, out, stderr.String())
	}
	return string(out)
}
