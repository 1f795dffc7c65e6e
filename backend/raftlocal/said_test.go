package raftlocal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
)

// TestSaidOfASocket: the path is in the message, and the reason once.
func TestSaidOfASocket(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "socket")
	_, err := fencelock.Open(within(t, 10*time.Second), "raft://unix:"+path, nil)
	if !errors.Is(err, fencelock.ErrUnavailable) {
		t.Fatal(err)
	}
	text := err.Error()
	wantWords(t, "no socket", text, "raft://unix:"+path+": ", "there is no socket "+path+": no process serves")
	if strings.Contains(text, "such socket") || strings.Contains(text, "raft://unix::") {
		t.Error(text)
	}
}

// TestSaidOfAPath: where no server was asked, none has refused.
func TestSaidOfAPath(t *testing.T) {
	t.Parallel()
	file, open := filepath.Join(t.TempDir(), "file"), filepath.Join(t.TempDir(), "open")
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Mkdir(open, 0o700), os.Chmod(open, 0o777)); err != nil {
		t.Fatal(err)
	}
	for path, word := range map[string]string{file: "is a file: name a directory", filepath.Join(file, "locks"): "not a directory", "/proc/none": "making the directory", open: "others may write"} {
		if path == "/proc/none" {
			if _, err := os.Stat("/proc/self"); err != nil {
				continue
			}
		}
		_, err := fencelock.Open(within(t, 10*time.Second), "raft://"+path, nil)
		if !errors.Is(err, fencelock.ErrInvalid) || errors.Is(err, driver.ErrRefused) || strings.Contains(err.Error(), "refused by") {
			t.Errorf("%s: %v", path, err)
			continue
		}
		wantWords(t, path, err.Error(), word)
	}
}

// TestSaidOfAnIncompleteDirectory: who has no backup is told what to do, too.
func TestSaidOfAnIncompleteDirectory(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "locks")
	if err := use(t, Options{Dir: dir}).Close(); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(dir, "*.log"))
	if err != nil || len(logs) == 0 {
		entries, _ := os.ReadDir(dir)
		t.Fatalf("no log: %v, %v", entries, err)
	}
	for _, name := range logs {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	_, err = New(within(t, 10*time.Second), &Options{Dir: dir})
	if err == nil {
		t.Fatal("it is opened")
	}
	wantWords(t, "no log", err.Error(), "snapshot but no log", "from a backup or, without one, remove all", "longest TTL", "POST /members?remove=NAME&add=NAME=HOST:PORT")
}
