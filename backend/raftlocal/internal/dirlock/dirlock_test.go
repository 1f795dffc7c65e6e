package dirlock_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/dirlock"
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
		if err == nil || !strings.Contains(err.Error(), "chown") {
			t.Errorf("got %v, want the cure", err)
		}
		return
	}
	_, err := take(t, "/", dirlock.Owner{})
	if err == nil || !strings.Contains(err.Error(), "belongs to the user 0") {
		t.Errorf("got %v, want whose it is", err)
	}
}
