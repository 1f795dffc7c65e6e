// Package oldbuild checks out an earlier build of fencelock, for tests in which it runs
// beside this one, as both do while a new version is rolled out.
package oldbuild

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// revision is the last commit before raftlocal's members had incarnations and ZooKeeper's
// claims the order of their czxids.
const revision = "eb034276f12cc58761d542aa51e700c41beb7b4a"

var checkout struct {
	sync.Mutex
	dir      string
	users    int
	programs int // that were built
}

// Source returns a directory with the source of the earlier build, which its users leave
// as it is but for what they add. It is made once for all tests of a process that need it
// at the same time, and removed at the end of the last of them.
func Source(t testing.TB) string {
	t.Helper()
	checkout.Lock()
	defer checkout.Unlock()
	if checkout.users == 0 {
		dir, err := export()
		if err != nil {
			t.Fatalf("oldbuild: the earlier build, %.7s, cannot be had: %v", revision, err)
		}
		checkout.dir = dir
	}
	checkout.users++
	t.Cleanup(func() {
		checkout.Lock()
		defer checkout.Unlock()
		checkout.users--
		if checkout.users == 0 {
			if err := os.RemoveAll(checkout.dir); err != nil {
				t.Errorf("oldbuild: %v", err)
			}
		}
	})
	return checkout.dir
}

// Build builds a program of the earlier build, from the source of its main package, with
// what one of its modules ("backend/zookeeper") may import, and returns its path.
func Build(t testing.TB, module string, source []byte) (program string) {
	t.Helper()
	root := Source(t)
	checkout.Lock()
	checkout.programs++
	where := filepath.Join(root, module, fmt.Sprint("program", checkout.programs))
	checkout.Unlock()
	err := os.Mkdir(where, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(where, "main.go"), source, 0o600)
	}
	if err != nil {
		t.Fatalf("oldbuild: %v", err)
	}
	program = filepath.Join(t.TempDir(), "earlier")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", program, ".")
	build.Dir = where
	build.Env = append(os.Environ(), "GOWORK="+filepath.Join(root, "go.work"))
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("oldbuild: go build: %v: %s", err, out)
	}
	return program
}

func export() (dir string, err error) {
	top, err := git("rev-parse", "--show-toplevel")
	if err != nil {
		return "", fmt.Errorf("this is no checkout of a git repository: %w", err)
	}
	if _, err := git("-C", top, "cat-file", "-e", revision+"^{commit}"); err != nil {
		return "", fmt.Errorf("this checkout has not its history: run git fetch --unshallow (%w)", err)
	}
	dir, err = os.MkdirTemp("", "fencelock-earlier-")
	if err != nil {
		return "", err
	}
	archive := filepath.Join(dir, "source.tar")
	if _, err = git("-C", top, "archive", "-o", archive, revision); err == nil {
		var out []byte
		if out, err = exec.Command("tar", "-x", "-f", archive, "-C", dir).CombinedOutput(); err != nil {
			err = fmt.Errorf("tar: %w: %s", err, out)
		}
	}
	if err == nil {
		err = os.Remove(archive)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return "", err
	}
	return dir, nil
}

func git(args ...string) (string, error) {
	out, err := exec.Command("git", args...).CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err != nil {
		return "", fmt.Errorf("git: %w: %s", err, text)
	}
	return text, nil
}
