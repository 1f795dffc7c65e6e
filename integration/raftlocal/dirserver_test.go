package raftlocal_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// directory is shared by processes of their own. One of those that have it open serves it;
// that may be the test's own.
type directory struct {
	path string

	mu        sync.Mutex
	processes map[int]*process // by process number
}

// startDirectory has n processes share a new directory; the first serves.
func startDirectory(t locktest.T, path string, n int) *directory {
	t.Helper()
	d := &directory{path: path, processes: map[int]*process{}}
	t.Cleanup(func() {
		for pid := range d.processes {
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
	p := spawn(t, "raft://"+d.path)
	d.mu.Lock()
	d.processes[p.Process.Pid] = p
	d.mu.Unlock()
	p.awaitOpen(t)
}

// kill ends a process with SIGKILL.
func (d *directory) kill(pid int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.processes[pid]
	delete(d.processes, pid)
	return p.kill()
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
	_, ours = d.processes[owner.PID]
	return owner.PID, ours
}

// handOff waits, but not for long, until one of the processes serves: when the test's own has
// closed what served, it would else be quick to do so again.
func (d *directory) handOff() {
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
