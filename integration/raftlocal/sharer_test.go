package raftlocal_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal"
	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// dirVariable makes the test binary a process that shares the directory that it names.
const dirVariable = "FENCELOCK_TEST_DIRECTORY"

// playSharer is the role: it has the directory open until its standard input ends, and so
// never outlives the tests.
func playSharer(dir string) error {
	b, err := raftlocal.Open(context.Background(), &url.URL{Scheme: "raft", Path: dir})
	if err != nil {
		return err
	}
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return b.Close()
}

// directory is shared by processes of their own. One of those that have it open serves it;
// that may be the test's own.
type directory struct {
	path string

	mu      sync.Mutex
	sharers map[int]*exec.Cmd // by process number
}

// startDirectory has n processes share a new directory; the first serves.
func startDirectory(t locktest.T, path string, n int) *directory {
	t.Helper()
	d := &directory{path: path, sharers: map[int]*exec.Cmd{}}
	t.Cleanup(func() {
		for pid := range d.sharers {
			_ = d.kill(pid)
		}
	})
	for range n {
		d.hire(t)
	}
	return d
}

// hire starts a process more, and returns when it has the directory open.
func (d *directory) hire(t locktest.T) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatalf("%v", err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), dirVariable+"="+d.path)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if _, err = cmd.StdinPipe(); err != nil {
		t.Fatalf("%v", err)
	}
	out, err := cmd.StdoutPipe()
	if err == nil {
		// Its goroutine, which copies stderr, is not the backend's.
		locktest.Unlabelled(func() { err = cmd.Start() })
	}
	if err != nil {
		t.Fatalf("starting a process: %v", err)
	}
	d.mu.Lock()
	d.sharers[cmd.Process.Pid] = cmd
	d.mu.Unlock()
	if _, err := io.ReadFull(out, make([]byte, len("open\n"))); err != nil {
		t.Fatalf("a process does not open %s: %v: %s", d.path, err, &stderr)
	}
}

// kill ends a process with SIGKILL.
func (d *directory) kill(pid int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	cmd := d.sharers[pid]
	delete(d.sharers, pid)
	err := cmd.Process.Kill()
	_ = cmd.Wait()
	return err
}

// server is the process that serves, by what it has written there.
func (d *directory) server() (pid int, ours bool) {
	var owner struct{ PID int }
	text, err := os.ReadFile(filepath.Join(d.path, "owner"))
	if err != nil || json.Unmarshal(text, &owner) != nil {
		return 0, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ours = d.sharers[owner.PID]
	return owner.PID, ours
}

// handOver waits, but not for long, until one of the processes serves: when the test's own has
// closed what served, it would else be quick to do so again.
func (d *directory) handOver() {
	locktest.Within(2*time.Second, func() (ours bool) {
		_, ours = d.server()
		return ours
	})
}

// killServer waits until one of the processes serves, not the test's own, and kills it.
func (d *directory) killServer(t locktest.T) {
	t.Helper()
	var serving int
	locktest.Eventually(t, locktest.Soon, "another process serves the directory", func() (ours bool) {
		serving, ours = d.server()
		return ours
	})
	if err := d.kill(serving); err != nil {
		t.Errorf("killing process %d: %v", serving, err)
	}
}
