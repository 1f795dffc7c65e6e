package process_test

import (
	"path/filepath"
	"testing"

	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// directory is a place that processes of this machine share, one of which serves the others.
// That one lives on: what comes of its end, integration/raftlocal shows. (If it is suspended,
// all others stand still.)
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

// TestExamplesOnDirectory runs the examples, whose processes share a directory.
func TestExamplesOnDirectory(t *testing.T) {
	t.Parallel()
	programs, c := buildExamples(t), directory(t)
	for name, want := range exampleSays {
		runExample(t, filepath.Join(programs, name), c.url(nil, locktest.Namespace()), want)
	}
}
