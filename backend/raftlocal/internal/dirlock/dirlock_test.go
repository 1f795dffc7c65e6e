package dirlock_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
)

func take(t *testing.T, dir string, owner dirlock.Owner) (*dirlock.Lock, error) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	return dirlock.Take(root, owner)
}

func TestOneAtATime(t *testing.T) {
	dir := t.TempDir()
	first, err := take(t, dir, dirlock.Owner{Cluster: "c", Member: "a"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = take(t, dir, dirlock.Owner{Cluster: "c", Member: "b"})
	var taken *dirlock.TakenError
	if !errors.As(err, &taken) || taken.Owner != (dirlock.Owner{PID: os.Getpid(), Cluster: "c", Member: "a"}) {
		t.Fatalf("got %v, want a TakenError that names its owner", err)
	}
	if s := err.Error(); !strings.Contains(s, `member "a"`) || !strings.Contains(s, dir) {
		t.Errorf("the message is %q", s)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	second, err := take(t, dir, dirlock.Owner{Cluster: "c", Member: "long name of b"})
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	if err := second.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestAnothersDirectory(t *testing.T) {
	if os.Geteuid() == 0 {
		dir := t.TempDir()
		if err := os.Chown(dir, 12345, -1); err != nil {
			t.Skip("this root cannot give a directory away: ", err)
		}
		_, err := take(t, dir, dirlock.Owner{})
		var foreign *dirlock.ForeignError
		if !errors.As(err, &foreign) || foreign.Owner != 12345 || !strings.Contains(err.Error(), "chown") || !strings.Contains(err.Error(), "runs as root (0)") {
			t.Errorf("got %v, want the cure, and who we are", err)
		}
		return
	}
	_, err := take(t, "/", dirlock.Owner{})
	if err == nil || !strings.Contains(err.Error(), "belongs to the user root (0)") {
		t.Errorf("got %v, want whose it is", err)
	}
}

// Whoever takes a directory that the owner before did not have waits, unless one who did so before
// was killed meanwhile: then the next waits.
func TestSettle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "dir")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		settled := func(dir string, within time.Duration) (time.Duration, error) {
			t.Helper()
			l, err := take(t, dir, dirlock.Owner{Cluster: "c", Member: "a"})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), within)
			defer cancel()
			began := time.Now()
			err = l.Settle(ctx)
			return time.Since(began), errors.Join(err, l.Release())
		}
		const patient = time.Hour
		if took, err := settled(dir, dirlock.Settling/2); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a new one: %v, %v", took, err)
		}
		if took, err := settled(dir, patient); err != nil || took != dirlock.Settling {
			t.Errorf("after one that did not wait to the end: %v, %v", took, err)
		}
		if took, err := settled(dir, patient); err != nil || took != 0 {
			t.Errorf("after one that did: %v, %v", took, err)
		}
		if err := os.CopyFS(dir+".copy", os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		if took, err := settled(dir+".copy", patient); err != nil || took != dirlock.Settling {
			t.Errorf("a copy: %v, %v", took, err)
		}
		// It is moved away while it is had, and put back.
		l, err := take(t, dir, dirlock.Owner{})
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Rename(dir, dir+".old"), l.Release(), os.Rename(dir+".old", dir)); err != nil {
			t.Fatal(err)
		}
		if took, err := settled(dir, patient); err != nil || took != dirlock.Settling {
			t.Errorf("one that was put back: %v, %v", took, err)
		}
		// It is replaced while it is waited for.
		if err := os.Remove(filepath.Join(dir, dirlock.File)); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(dirlock.Settling/2, func() { _ = os.Rename(dir, dir+".old") })
		if took, err := settled(dir, patient); !errors.Is(err, disk.ErrLost) {
			t.Errorf("one that was replaced: %v, %v", took, err)
		}
	})
}
