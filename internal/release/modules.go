package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// repository is the work tree with the modules.
type repository struct {
	dir string
}

// module is what a go.mod says of its module and the neighbours: the repository's others.
type module struct {
	dir       string // from the root, with slashes; "." is the root itself
	path      string
	neighbour map[string]string // the version required of each, by path
	replaced  map[string]string // the folder or path that each replace leads to, by path
}

// unreleased are the folders whose modules nobody imports. All others are released,
// those too that are yet to come: a tag too many does no harm, and one that is missing is a
// go get that fails.
var unreleased = []string{"bench", "examples", "integration"}

func (m module) released() bool {
	first, _, _ := strings.Cut(m.dir, "/")
	return !slices.Contains(unreleased, first)
}

// command reports whether the module is there to be installed. The go command refuses
// to install a version whose go.mod has a replace.
func (m module) command() bool {
	return strings.HasPrefix(m.dir, "cmd/")
}

func (m module) tag(version string) string {
	if m.dir == "." {
		return version
	}
	return m.dir + "/" + version
}

// modules are those of go.work, and each comes after those that it requires.
func (r repository) modules() ([]module, error) {
	var work struct{ Use []struct{ DiskPath string } }
	if err := r.json(".", &work, "work", "edit", "-json"); err != nil {
		return nil, err
	}
	var all []module
	for _, use := range work.Use {
		m, err := r.module(filepath.ToSlash(filepath.Clean(use.DiskPath)))
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	ours := make(map[string]bool)
	for _, m := range all {
		ours[m.path] = true
	}
	for _, m := range all {
		for p := range m.neighbour {
			if !ours[p] {
				delete(m.neighbour, p)
			}
		}
	}
	// A go.mod lists whatever its module needs, so it has more neighbours than each of them.
	slices.SortFunc(all, func(a, b module) int {
		return cmp.Or(cmp.Compare(len(a.neighbour), len(b.neighbour)), strings.Compare(a.dir, b.dir))
	})
	return all, nil
}

func (r repository) module(dir string) (module, error) {
	var mod struct {
		Module  struct{ Path string }
		Require []struct{ Path, Version string }
		Replace []struct{ Old, New struct{ Path string } }
	}
	if err := r.json(dir, &mod, "mod", "edit", "-json"); err != nil {
		return module{}, err
	}
	m := module{dir: dir, path: mod.Module.Path, neighbour: make(map[string]string), replaced: make(map[string]string)}
	for _, q := range mod.Require {
		m.neighbour[q.Path] = q.Version
	}
	for _, p := range mod.Replace {
		m.replaced[p.Old.Path] = p.New.Path
	}
	return m, nil
}

// way is the folder to, as seen from the folder from.
func way(from, to string) string {
	rel, err := filepath.Rel(filepath.FromSlash(from), filepath.FromSlash(to))
	if err != nil {
		return to // both are relative, so there is a way
	}
	rel = path.Clean(filepath.ToSlash(rel)) // Go 1.25 says ../../. for the root
	if !strings.HasPrefix(rel, "..") {
		rel = "./" + rel
	}
	return rel
}

// run runs a command in a folder, without the workspace: what is released is each module
// by itself.
func (r repository) run(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = filepath.Join(r.dir, filepath.FromSlash(dir))
	cmd.Env = append(os.Environ(), "GOWORK=off")
	if name == "go" && args[0] == "work" {
		cmd.Env = append(os.Environ(), "GOWORK=")
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %s %s: %w\n%s", dir, name, strings.Join(args, " "), err, stderr.String())
	}
	return string(out), nil
}

func (r repository) git(args ...string) (string, error) {
	return r.run(".", "git", args...)
}

func (r repository) json(dir string, into any, args ...string) error {
	out, err := r.run(dir, "go", args...)
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(out), into)
}
