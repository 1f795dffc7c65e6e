// Package oldbuild has the sources of an earlier state of this repository, for tests in which
// processes of two builds work side by side, as during a deployment.
package oldbuild

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Commit is the state: the last one before members had ids of their own, and queues of ZooKeeper
// another order.
const Commit State = "eb034276f12cc58761d542aa51e700c41beb7b4a"

// ManyKeys is the last one in which a lock of Redis had several keys, and each shard a counter.
const ManyKeys State = "2daac05065c6555d2959898c77ffc00af89d01c9"

// State is a state of this repository: the name of a commit.
type State string

func (s State) String() string { return string(s[:7]) }

// limit bounds a checkout, and a build.
const limit = 5 * time.Minute

// Source returns the directory of the sources as they were, with their go.work. It must not be
// changed: it is kept for other runs.
func Source(t testing.TB) string {
	t.Helper()
	return Commit.source(t)
}

func (s State) source(t testing.TB) string {
	t.Helper()
	once, _ := checkouts.LoadOrStore(s, sync.OnceValues(func() (string, error) { return checkout(string(s)) }))
	dir, err := once.(func() (string, error))()
	if err != nil {
		t.Fatalf("the sources of %v: %v", s, err)
	}
	return dir
}

var checkouts sync.Map // State → func() (string, error)

func checkout(commit string) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	final := filepath.Join(cache, "fencelock", "source", commit)
	if _, err := os.Stat(filepath.Join(final, "go.work")); err == nil {
		return final, nil
	}
	if err := os.MkdirAll(filepath.Dir(final), 0o755); err != nil {
		return "", err
	}
	draft, err := os.MkdirTemp(filepath.Dir(final), "draft-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(draft)
	top, err := run(".", "git", "rev-parse", "--show-toplevel")
	if err != nil {
		return "", err
	}
	root := strings.TrimSpace(top)
	if _, err := run(root, "git", "cat-file", "-e", commit+"^{commit}"); err != nil {
		return "", errors.New("the history does not go so far back: run git fetch --unshallow")
	}
	archive := filepath.Join(draft, "archive.tar")
	if _, err := run(root, "git", "archive", "--output", archive, commit); err != nil {
		return "", err
	}
	if _, err := run(draft, "tar", "-xf", archive); err != nil {
		return "", err
	}
	if err := os.Remove(archive); err != nil {
		return "", err
	}
	// Another process may have been faster, with the same.
	if err := os.Rename(draft, final); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", err
	}
	return final, nil
}

// Program builds a program of those sources, by its package's folder.
func Program(t testing.TB, folder string) string {
	t.Helper()
	return Commit.build(t, folder)
}

// Build builds a program from the source of its main package, with what one of the modules of then
// ("backend/zookeeper") may import.
func Build(t testing.TB, module string, source []byte) string {
	t.Helper()
	return Commit.Build(t, module, source)
}

// Build does the same with the sources of a state.
func (s State) Build(t testing.TB, module string, source []byte) string {
	t.Helper()
	folder := filepath.Join(module, "program")
	file := filepath.Join(t.TempDir(), "main.go")
	overlay := filepath.Join(filepath.Dir(file), "overlay.json")
	text, err := json.Marshal(map[string]map[string]string{
		"Replace": {filepath.Join(s.source(t), folder, "main.go"): file},
	})
	err = errors.Join(err, os.WriteFile(file, source, 0o600), os.WriteFile(overlay, text, 0o600))
	if err != nil {
		t.Fatal(err)
	}
	return s.build(t, folder, "-overlay", overlay)
}

func (s State) build(t testing.TB, folder string, flags ...string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), filepath.Base(folder))
	args := slices.Concat([]string{"build", "-buildvcs=false", "-o", out}, flags, []string{"./" + folder})
	if _, err := run(s.source(t), "go", args...); err != nil {
		t.Fatalf("building %s as it was: %v", folder, err)
	}
	return out
}

func run(dir, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly", "GOWORK=")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, &stderr)
	}
	return string(out), nil
}
