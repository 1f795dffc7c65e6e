package process_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// directory is a place that processes of this machine share, one of which serves the others.
// That one lives on. (If it is suspended, all others stand still.)
func directory(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{
		target: target{name: "directory", scheme: "raft", freed: raftFrees},
		dir:    filepath.Join(t.TempDir(), "locks"),
	}
	server := &world{cluster: c, ns: locktest.Namespace(), resource: startResource(t)}
	server.client(t, "the one that serves", patient)
	return c
}

// TestProcessesOfDirectory kills and suspends processes that share a directory and nothing
// else.
func TestProcessesOfDirectory(t *testing.T) {
	c := directory(t)
	for name, test := range map[string]func(*testing.T, *world){
		"killed holder":        killedHolder,
		"killed waiter":        killedWaiter,
		"suspended holder":     suspendedHolder,
		"killed and suspended": killedAndSuspended,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, c))
		})
	}
}

// TestKilledHolderThatServes kills a holder that serves the directory as well: another takes
// over from the disk, and the lease, whose time stands still meanwhile, ends there.
func TestKilledHolderThatServes(t *testing.T) {
	t.Parallel()
	const takeOver = 2 * time.Second
	w := &world{ns: locktest.Namespace(), resource: startResource(t), cluster: &cluster{
		target: target{
			name: "directory", scheme: "raft",
			freed: func(ttl time.Duration) time.Duration { return raftFrees(ttl) + takeOver },
		},
		dir: filepath.Join(t.TempDir(), "locks"),
	}}
	holder := w.client(t, "the holder that serves", ttl)
	w.watcher = locktest.Open(t, w.url(nil, w.ns), "", patient)
	killHolders(t, w, holder)
}

// TestExamplesOnDirectory runs the examples, whose processes share a directory.
func TestExamplesOnDirectory(t *testing.T) {
	t.Parallel()
	programs, c := buildExamples(t), directory(t)
	for name, want := range exampleSays {
		runExample(t, filepath.Join(programs, name), c.url(nil, locktest.Namespace()), want)
	}
}
