// Package before lets the build of another commit compete with this one. Both are processes of their own, and
// of the same code around fencelock, so that they differ in nothing else.
package before

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Builds are the programs of the two, until Close.
type Builds struct {
	Commit string // for the reader

	dir         string
	now, before string // paths of the programs
}

// Build makes the program of the source tree that the working directory is in, and that of a commit, out of a
// temporary worktree.
func Build(ctx context.Context, commit string) (*Builds, error) {
	if strings.HasPrefix(commit, "-") {
		return nil, fmt.Errorf("%q names no commit", commit)
	}
	top, err := git(ctx, ".", "rev-parse", "--show-toplevel")
	if err != nil {
		return nil, err
	}
	what, err := git(ctx, top, "log", "-1", "--format=%h %s", commit)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "fencelock-bench-")
	if err != nil {
		return nil, err
	}
	b := &Builds{Commit: what, dir: dir, now: filepath.Join(dir, "now"), before: filepath.Join(dir, "before")}
	if err := errors.Join(build(ctx, top, b.now), b.buildOther(ctx, top, commit)); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// Close removes the programs.
func (b *Builds) Close() { _ = os.RemoveAll(b.dir) }

func (b *Builds) buildOther(ctx context.Context, top, commit string) (err error) {
	tree := filepath.Join(b.dir, "tree")
	if _, err := git(ctx, top, "worktree", "add", "--quiet", "--detach", tree, commit); err != nil {
		return err
	}
	defer func() {
		_, removed := git(context.WithoutCancel(ctx), top, "worktree", "remove", "--force", tree)
		err = errors.Join(err, removed)
	}()
	if err := transplant(top, tree); err != nil {
		return err
	}
	return build(ctx, tree, b.before)
}

// internal is where the packages of the bench are.
const internal = "bench/internal"

// transplant gives a tree the worker of another, with all that it is made of besides fencelock.
func transplant(from, to string) error {
	for _, name := range []string{"contest", "work", "worker"} {
		source, target := filepath.Join(from, internal, name), filepath.Join(to, internal, name)
		err := errors.Join(os.RemoveAll(target), os.MkdirAll(target, 0o755))
		if err != nil {
			return err
		}
		files, err := filepath.Glob(filepath.Join(source, "*.go"))
		if err != nil {
			return err
		}
		files = slices.DeleteFunc(files, func(f string) bool { return strings.HasSuffix(f, "_test.go") })
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(target, filepath.Base(file)), text, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// build makes the worker of a tree, with the workspace of the same tree: that of the environment may be
// another's.
func build(ctx context.Context, tree, program string) error {
	work := filepath.Join(tree, "go.work")
	if _, err := os.Stat(work); err != nil {
		work = "off"
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-o", program, "./internal/worker")
	cmd.Dir, cmd.Env = filepath.Join(tree, "bench"), append(os.Environ(), "GOWORK="+work)
	_, err := run(cmd)
	return err
}

func git(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Dir = dir
	return run(cmd)
}

// run returns what a command writes, without the end of the last line.
func run(cmd *exec.Cmd) (string, error) {
	var words bytes.Buffer
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(cmd.Args, " "), err, bytes.TrimSpace(words.Bytes()))
	}
	return strings.TrimRight(string(out), "\n"), nil
}
