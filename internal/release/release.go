package main

import (
	"fmt"
	"strings"
	"time"
)

// release makes the commit and the tags, and returns what is left to do. If it fails, the
// work tree is as it was.
func (r repository) release(version string) (string, error) {
	modules, err := r.modules()
	if err != nil {
		return "", err
	}
	if err := r.ready(version, modules); err != nil {
		return "", err
	}
	start, err := r.git("rev-parse", "HEAD")
	if err != nil {
		return "", err
	}
	start = strings.TrimSpace(start)
	var tags []string
	err = func() error {
		if err := r.write(version, modules); err != nil {
			return err
		}
		if tags, err = r.tag(version, modules); err != nil {
			return err
		}
		return r.goOn(modules)
	}()
	if err != nil {
		for _, tag := range tags {
			_, _ = r.git("tag", "--delete", tag)
		}
		_, _ = r.git("reset", "--quiet", "--hard", start) // nothing was uncommitted
		return "", err
	}
	return r.rest(version, start, tags)
}

// write commits the release: all modules require their neighbours in its version.
func (r repository) write(version string, modules []module) error {
	if err := r.changelog(version, time.Now()); err != nil {
		return err
	}
	for _, m := range modules {
		edit := []string{"mod", "edit"}
		for _, p := range sorted(m.neighbour) {
			edit = append(edit, "-require="+p+"@"+version)
		}
		if len(edit) > 2 {
			if _, err := r.run(m.dir, "go", edit...); err != nil {
				return err
			}
		}
	}
	for _, m := range modules {
		if _, err := r.run(m.dir, "go", "mod", "tidy"); err != nil {
			return err
		}
	}
	if err := r.replaces(modules, func(m module, p string) string { return "-dropreplace=" + p }); err != nil {
		return err
	}
	return r.commit("release: " + version)
}

// goOn gives commands back the replaces that a version to be installed cannot have.
func (r repository) goOn(modules []module) error {
	err := r.replaces(modules, func(m module, p string) string { return "-replace=" + p + "=" + m.replaced[p] })
	if err != nil {
		return err
	}
	return r.commit("cmd: replace the neighbours again, after the release")
}

func (r repository) replaces(modules []module, how func(module, string) string) error {
	for _, m := range modules {
		if !m.released() || !m.command() {
			continue
		}
		for _, p := range sorted(m.replaced) {
			if _, err := r.run(m.dir, "go", "mod", "edit", how(m, p)); err != nil {
				return err
			}
		}
	}
	return nil
}

// commit commits what has changed, if anything has.
func (r repository) commit(message string) error {
	changed, err := r.git("status", "--porcelain")
	if err != nil || changed == "" {
		return err
	}
	_, err = r.git("commit", "--quiet", "--all", "--message", message)
	return err
}

// tag tags the last commit once for each module that is released.
func (r repository) tag(version string, modules []module) (tags []string, err error) {
	for _, m := range modules {
		if !m.released() {
			continue
		}
		if _, err := r.git("tag", "--annotate", "--message", m.path+" "+version, m.tag(version)); err != nil {
			return tags, err
		}
		tags = append(tags, m.tag(version))
	}
	return tags, nil
}

// rest is what the releaser does next. The root goes first: a proxy that was asked for a
// version too early goes on saying for a while that it is not there.
func (r repository) rest(version, start string, tags []string) (string, error) {
	branch, err := r.git("rev-parse", "--abbrev-ref", "HEAD")
	if err != nil {
		return "", err
	}
	others := ""
	if len(tags) > 1 {
		others = "    git push --atomic origin " + strings.Join(tags[1:], " ") + "\n"
	}
	return fmt.Sprintf(`%s is committed and tagged here, and nowhere else. To publish it:

    git push --atomic origin %s %s
%s
and then look whether it can be had: docs/releasing.md. To take it back, before that:

    git tag --delete %s
    git reset --hard %s
`, version, strings.TrimSpace(branch), tags[0], others, strings.Join(tags, " "), start[:12]), nil
}
