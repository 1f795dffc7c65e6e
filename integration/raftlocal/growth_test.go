package raftlocal_test

import (
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal"
	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// footprint is what a directory takes that this process serves, and its clients.
type footprint struct {
	raftlocal.Status
	locktest.Footprint
	disk int64
}

func measure(t *testing.T, dir string) footprint {
	t.Helper()
	f := footprint{Status: status(t, &raftlocal.Options{Dir: dir}), Footprint: locktest.Measure()}
	err := filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil {
			f.disk += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestNothingGrows: clients that have locked and unlocked a hundred and forty thousand times, waited for
// many of them, and given up some, take no more of anything than after the first ten thousand,
// and nor does the member that serves them, which is in this process. The log is cut by
// snapshots.
func TestNothingGrows(t *testing.T) {
	// It is not parallel, since it looks at the goroutines of the process.
	dir, ns := filepath.Join(t.TempDir(), "locks"), locktest.Namespace()+strings.Repeat("-long", 8)
	c, rival := share(t, dir, ns, time.Minute), share(t, dir, ns, time.Minute)
	churn := &locktest.Churn{Client: c, Rival: rival, Workers: 64, Contended: 1}
	first := churn.Run(t, 10_000)
	expectNothingLeft(t, &raftlocal.Options{Dir: dir})
	before := measure(t, dir)
	rest := churn.Run(t, 130_000)
	expectNothingLeft(t, &raftlocal.Options{Dir: dir})
	var after footprint
	locktest.Eventually(t, 2*locktest.Soon, "what has just been given up is gone", func() bool {
		after = measure(t, dir)
		return after.Goroutines <= before.Goroutines
	})
	t.Logf("10,000 took %v, the other 130,000 %v", first.Round(time.Millisecond), rest.Round(time.Millisecond))
	for name, f := range map[string]footprint{"before": before, "after": after} {
		t.Logf("%s: %+v; %d sessions, log %+v, snapshot %+v, %d bytes on disk", name, f.Footprint, f.Sessions, f.Log, f.Snapshot, f.disk)
	}
	if after.Snapshot.Index <= before.Snapshot.Index {
		t.Error("there is no new snapshot: the test has tested nothing")
	}
	if after.Sessions > 2 {
		t.Errorf("%d sessions of two clients", after.Sessions)
	}
	if after.Log.Bytes > 17<<20 || after.disk > 64<<20 {
		t.Errorf("a log of %d bytes, %d bytes on disk", after.Log.Bytes, after.disk)
	}
	// A part of the log that no snapshot has yet may be in memory.
	if kept := uint64(after.Log.Bytes); after.Heap > before.Heap+2*kept+4<<20 {
		t.Errorf("%d bytes of heap, and %d before", after.Heap, before.Heap)
	}
}
