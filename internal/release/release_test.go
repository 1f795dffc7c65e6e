package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// As committed, the modules of this repository can be released.
func TestThisRepository(t *testing.T) {
	r := repository{dir: "../.."}
	for _, name := range []string{"go.work", ".git"} {
		if _, err := os.Stat(filepath.Join(r.dir, name)); err != nil {
			t.Skip("this is a copy without ", name)
		}
	}
	modules, err := r.modules()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.consistent(modules); err != nil {
		t.Error(err)
	}
	if len(modules) < 5 || modules[0].dir != "." {
		t.Errorf("the modules are %v; the root comes first", modules)
	}
}

// made is a repository with a module of each sort, which require each other.
func made(t *testing.T) repository {
	t.Helper()
	t.Setenv("GIT_CONFIG_GLOBAL", os.DevNull)
	t.Setenv("GIT_CONFIG_NOSYSTEM", "1")
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		t.Setenv("GIT_"+who+"_NAME", "test")
		t.Setenv("GIT_"+who+"_EMAIL", "test@example.com")
	}
	t.Setenv("GOPROXY", "off") // nothing here is to be had anywhere
	t.Setenv("GOFLAGS", "")
	r := repository{dir: t.TempDir()}
	const (
		lib     = "require example.com/lib v0.1.0\nreplace example.com/lib => ../..\n"
		backend = "require example.com/lib/backend/a v0.1.0\nreplace example.com/lib/backend/a => ../../backend/a\n"
	)
	for name, text := range map[string]string{
		"go.work":               "go 1.25.0\nuse (\n\t./examples/demo\n\t./cmd/tool\n\t./backend/a\n\t.\n)\n",
		"go.mod":                "module example.com/lib\ngo 1.25.0\n",
		"lib.go":                "package lib\n",
		"backend/a/go.mod":      "module example.com/lib/backend/a\ngo 1.25.0\n" + lib,
		"backend/a/a.go":        "package a\n\nimport _ \"example.com/lib\"\n",
		"cmd/tool/go.mod":       "module example.com/lib/cmd/tool\ngo 1.25.0\n" + lib + backend,
		"cmd/tool/main.go":      "package main\n\nimport _ \"example.com/lib/backend/a\"\n\nfunc main() {}\n",
		"examples/demo/go.mod":  "module example.com/lib/examples/demo\ngo 1.25.0\n" + lib,
		"examples/demo/main.go": "package main\n\nimport _ \"example.com/lib\"\n\nfunc main() {}\n",
		"CHANGELOG.md":          "# Changelog\n\n## [Unreleased]\n\n### Added\n\n* all of it\n\n## [0.1.0] - 2026-01-01\n\n* less\n",
	} {
		r.put(t, name, text)
	}
	r.must(t, "init", "--quiet", "--initial-branch=main")
	for _, m := range []string{"backend/a", "cmd/tool", "examples/demo"} {
		if _, err := r.run(m, "go", "mod", "tidy"); err != nil {
			t.Fatal(err)
		}
	}
	r.keep(t)
	r.must(t, "tag", "v0.1.0")
	return r
}

func (r repository) put(t *testing.T, name, text string) {
	t.Helper()
	name = filepath.Join(r.dir, name)
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (r repository) edit(t *testing.T, name, from, to string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.ReplaceAll(string(text), from, to)
	if changed == string(text) {
		t.Fatalf("%s has no %q:\n%s", name, from, text)
	}
	r.put(t, name, changed)
}

// keep commits all there is.
func (r repository) keep(t *testing.T) {
	t.Helper()
	r.must(t, "add", "--all")
	r.must(t, "commit", "--quiet", "--message", "all")
}

func (r repository) must(t *testing.T, args ...string) string {
	t.Helper()
	out, err := r.git(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestRelease(t *testing.T) {
	r := made(t)
	before := r.must(t, "rev-parse", "HEAD")
	said, err := r.release("v0.2.0")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.must(t, "tag", "--list"), "backend/a/v0.2.0\ncmd/tool/v0.2.0\nv0.1.0\nv0.2.0\n"; got != want {
		t.Errorf("the tags are %q, want %q", got, want)
	}
	if s := r.must(t, "status", "--porcelain"); s != "" {
		t.Errorf("not committed: %s", s)
	}
	for file, want := range map[string]string{
		"backend/a/go.mod":     "example.com/lib v0.2.0",
		"cmd/tool/go.mod":      "example.com/lib/backend/a v0.2.0",
		"examples/demo/go.mod": "example.com/lib v0.2.0",
		"CHANGELOG.md":         "## [Unreleased]\n\n## [0.2.0] - 20",
	} {
		if text := r.must(t, "show", "v0.2.0:"+file); !strings.Contains(text, want) || strings.Contains(text, "lib v0.1.0") {
			t.Errorf("%s has no %q:\n%s", file, want, text)
		}
	}
	// A command is installed by its version only if nothing is replaced, and goes on being
	// developed beside the others.
	if text := r.must(t, "show", "cmd/tool/v0.2.0:cmd/tool/go.mod"); strings.Contains(text, "replace") {
		t.Errorf("go install refuses this:\n%s", text)
	}
	if text := r.must(t, "show", "HEAD:cmd/tool/go.mod"); strings.Count(text, "=> ../..") != 2 {
		t.Errorf("the replaces are not back:\n%s", text)
	}
	if at := regexp.MustCompile(`(?s)origin main v0\.2\.0\n.*origin backend/a/v0\.2\.0 cmd/tool/v0\.2\.0\n`); !at.MatchString(said) {
		t.Errorf("the root is to be pushed first, then the others:\n%s", said)
	}
	undo := regexp.MustCompile(`git (tag --delete|reset --hard) (.*)`).FindAllStringSubmatch(said, -1)
	if len(undo) != 2 {
		t.Fatalf("it does not say how to undo it:\n%s", said)
	}
	for _, u := range undo {
		r.must(t, strings.Fields(u[1]+" "+u[2])...)
	}
	if r.must(t, "tag", "--list") != "v0.1.0\n" || r.must(t, "rev-parse", "HEAD") != before {
		t.Error("it cannot be undone as it says")
	}
}

// What is refused leaves everything as it was.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		version string
		spoil   func(*testing.T, repository)
		dirty   bool
		want    string
	}{
		"not a version":  {version: "0.2.0", want: "no version"},
		"two numbers":    {version: "v0.2", want: "no version"},
		"a pre-release":  {version: "v0.2.0-rc.1", want: "no version"},
		"another path":   {version: "v2.0.0", want: "/v2"},
		"it is there":    {version: "v0.1.0", want: "not higher than v0.1.0"},
		"it is lower":    {version: "v0.0.9", want: "not higher than v0.1.0"},
		"another branch": {spoil: func(t *testing.T, r repository) { r.must(t, "switch", "--quiet", "--create", "mine") }, want: "on main, and this is mine: git switch main"},
		"no branch":      {spoil: func(t *testing.T, r repository) { r.must(t, "switch", "--quiet", "--detach") }, want: "on main, and this is HEAD: git switch main"},
		"not committed":  {dirty: true, spoil: func(t *testing.T, r repository) { r.put(t, "new.go", "package lib\n") }, want: "not committed"},
		"a module's tag": {spoil: func(t *testing.T, r repository) { r.must(t, "tag", "cmd/tool/v0.2.0") }, want: "the tag cmd/tool/v0.2.0 is there"},
		"no news": {
			spoil: func(t *testing.T, r repository) { r.edit(t, "CHANGELOG.md", "* all of it\n", "") }, want: "nothing under Unreleased",
		},
		"no heading": {
			spoil: func(t *testing.T, r repository) { r.edit(t, "CHANGELOG.md", "[Unreleased]", "[Coming]") }, want: "no heading",
		},
		"a heading already": {
			spoil: func(t *testing.T, r repository) { r.edit(t, "CHANGELOG.md", "## [0.1.0]", "## [0.2.0]") }, want: "a heading for 0.2.0",
		},
		"a version that is never there": {
			spoil: func(t *testing.T, r repository) { r.edit(t, "backend/a/go.mod", "lib v0.1.0", "lib v0.0.0") }, want: "never be there",
		},
		"two versions": {
			spoil: func(t *testing.T, r repository) { r.edit(t, "backend/a/go.mod", "lib v0.1.0", "lib v0.1.1") }, want: "one version",
		},
		"a commit": {
			spoil: func(t *testing.T, r repository) {
				r.edit(t, "backend/a/go.mod", "lib v0.1.0", "lib v0.1.1-0.20260101000000-0123456789ab")
			}, want: "no release",
		},
		"no replace": {
			spoil: func(t *testing.T, r repository) { r.edit(t, "backend/a/go.mod", "replace", "// replace") }, want: "«replace example.com/lib => ../..»",
		},
		"a replace that does not count": {
			spoil: func(t *testing.T, r repository) {
				r.edit(t, "backend/a/go.mod", "replace ", "replace example.com/other => ../../other\nreplace ")
			}, want: "does not count",
		},
		"not in go.work": {
			spoil: func(t *testing.T, r repository) { r.edit(t, "go.work", "\t./backend/a\n", "") }, want: "go work use ./backend/a",
		},
		"in another folder": {
			spoil: func(t *testing.T, r repository) {
				r.edit(t, "examples/demo/go.mod", "lib/examples/demo", "lib/examples/demonstration")
			}, want: "only be had as example.com/lib/examples/demo",
		},
		"it cannot be tidied": {
			spoil: func(t *testing.T, r repository) {
				r.edit(t, "backend/a/a.go", "example.com/lib\"", "example.com/lib/none\"")
			}, want: "go mod tidy",
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := made(t)
			if c.spoil != nil {
				c.spoil(t, r)
				if !c.dirty && r.must(t, "status", "--porcelain") != "" {
					r.keep(t)
				}
			}
			if c.version == "" {
				c.version = "v0.2.0"
			}
			state := func() string {
				return r.must(t, "rev-parse", "HEAD") + r.must(t, "tag", "--list") + r.must(t, "status", "--porcelain")
			}
			before := state()
			_, err := r.release(c.version)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it says %v, want %q", err, c.want)
			}
			if after := state(); after != before {
				t.Errorf("it was\n%s and is\n%s", before, after)
			}
		})
	}
}
