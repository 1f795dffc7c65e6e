package main

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

var (
	anyVersion  = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)$`)
	noneAtAll   = "v0.0.0"
	mainBranch  = "main"
	placeholder = "v0.0.0-00010101000000-000000000000" // what go mod tidy writes for a replaced module
)

// consistent returns what is wrong with the go.mod files as they are committed: whoever uses
// a module gets the neighbours in the versions that it requires, since a replace counts in
// the main module only.
func (r repository) consistent(modules []module) error {
	if err := r.complete(modules); err != nil {
		return err
	}
	byPath := make(map[string]module)
	for _, m := range modules {
		byPath[m.path] = m
	}
	var one, of string // the version that all require, and who said so first
	for _, m := range modules {
		for _, p := range sorted(m.neighbour) {
			v := m.neighbour[p]
			switch {
			case v == noneAtAll || v == placeholder:
				return fmt.Errorf("%s/go.mod requires %s %s, which will never be there: require the version that its neighbours require", m.dir, p, v)
			case !anyVersion.MatchString(v):
				return fmt.Errorf("%s/go.mod requires %s %s, which is no release", m.dir, p, v)
			case one == "":
				one, of = v, m.dir
			case v != one:
				return fmt.Errorf("%s/go.mod requires %s %s, and %s/go.mod requires %s: all modules have one version", m.dir, p, v, of, one)
			}
			if want := way(m.dir, byPath[p].dir); m.replaced[p] != want {
				return fmt.Errorf("%s/go.mod has no «replace %s => %s»: without go.work it would not get the code beside it", m.dir, p, want)
			}
			if m.released() && !byPath[p].released() {
				return fmt.Errorf("%s/go.mod requires %s, which is not released", m.dir, p)
			}
		}
		for _, p := range sorted(m.replaced) {
			if _, ours := byPath[p]; !ours && m.released() {
				return fmt.Errorf("%s/go.mod replaces %s, which does not count for those who use it", m.dir, p)
			}
		}
	}
	return nil
}

// complete: each go.mod of the repository is in go.work, by which all commands find the
// modules, and has the path that its folder gives it.
func (r repository) complete(modules []module) error {
	files, err := r.git("ls-files", "--cached", "--others", "--exclude-standard", "go.mod", "*/go.mod")
	if err != nil {
		return err
	}
	root := slices.IndexFunc(modules, func(m module) bool { return m.dir == "." })
	if root < 0 {
		return errors.New("the root module is not in go.work")
	}
	for file := range strings.FieldsSeq(files) {
		dir := path.Dir(file)
		i := slices.IndexFunc(modules, func(m module) bool { return m.dir == dir })
		if strings.Contains(file, "testdata/") {
			continue
		}
		if i < 0 {
			return fmt.Errorf("%s is not in go.work: go work use ./%s", file, dir)
		}
		if want := path.Join(modules[root].path, dir); modules[i].path != want {
			return fmt.Errorf("%s says that it is %s; in this folder it can only be had as %s", file, modules[i].path, want)
		}
	}
	return nil
}

// ready returns why no release can be made just now.
func (r repository) ready(version string, modules []module) error {
	if !anyVersion.MatchString(version) {
		return fmt.Errorf("%q is no version: it is like v0.2.0", version)
	}
	if major(version) > 1 {
		return fmt.Errorf("%s would need other module paths, which end in /v%d", version, major(version))
	}
	branch, err := r.git("rev-parse", "--abbrev-ref", "HEAD")
	if err != nil {
		return err
	}
	if branch = strings.TrimSpace(branch); branch != mainBranch {
		return fmt.Errorf("a release is made on %s, and this is %s: git switch %s, with what is to be released merged there", mainBranch, branch, mainBranch)
	}
	tags, err := r.git("tag", "--list")
	if err != nil {
		return err
	}
	for tag := range strings.FieldsSeq(tags) {
		if anyVersion.MatchString(tag) && !less(tag, version) {
			return fmt.Errorf("%s is not higher than %s, which is there", version, tag)
		}
		for _, m := range modules {
			if tag == m.tag(version) {
				return fmt.Errorf("the tag %s is there: take the next version; what a proxy has seen stays for ever", tag)
			}
		}
	}
	changed, err := r.git("status", "--porcelain")
	if err != nil {
		return err
	}
	if changed != "" {
		return fmt.Errorf("there is what is not committed:\n%s", changed)
	}
	return r.consistent(modules)
}

func numbers(version string) (n [3]int) {
	for i, s := range anyVersion.FindStringSubmatch(version)[1:] {
		n[i], _ = strconv.Atoi(s) // digits, by the expression
	}
	return n
}

func major(version string) int { return numbers(version)[0] }

func less(a, b string) bool {
	x, y := numbers(a), numbers(b)
	return slices.Compare(x[:], y[:]) < 0
}

func sorted(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
