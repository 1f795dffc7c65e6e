package raftlocal_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestOpenBesideAStoppedProcess: whoever opens a directory whose process is stopped is told which that is, within
// 5 s, without a deadline of its own; and goes on when the process does.
func TestOpenBesideAStoppedProcess(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "locks")
	d := startDirectory(t, dir, 1)
	pid, _ := d.server()
	if err := servers.Suspend(pid); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	c, err := fencelock.Open(context.Background(), "raft://"+dir, nil) // without a deadline
	if err == nil {
		_ = c.Close()
		t.Fatal("it is opened")
	}
	if took := time.Since(began); took > 5*time.Second+locktest.Soon {
		t.Errorf("it took %v", took)
	}
	for _, word := range []string{"raft://" + dir, fmt.Sprintf("served by process %d", pid), "is stopped", "kill -CONT"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%v, want %q in it", err, word)
		}
	}
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	locktest.Unlock(t, locktest.Lock(t, share(t, dir, "stopped", time.Minute), "k"))
}
