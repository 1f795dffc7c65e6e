package statemachine

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// hold takes n locks, for a long time.
func hold(m *Machine, n int, acquire func(i int) command.Command) {
	m.Apply(1, command.Batch{Commands: []command.Command{{Op: command.Open, ID: command.SessionID{1}, TTL: time.Hour}}})
	for i := 0; i < n; {
		var b command.Batch
		for len(b.Commands) < 100 && i < n {
			c := acquire(i)
			i++
			c.Session, c.Seq, c.Lowest = 1, uint64(i), uint64(i)
			b.Commands = append(b.Commands, c)
		}
		m.Apply(uint64(i), b)
	}
}

func ordinary(i int) command.Command {
	return command.Command{
		Op: command.Acquire, Key: fmt.Sprintf("orders/customer/%08d", i), AttemptID: fmt.Sprintf("owner-%016d", i),
		Meta: "host-17 pid 4711", TTL: time.Minute, Wait: true,
	}
}

func heap() int {
	runtime.GC()
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return int(s.HeapAlloc)
}

// A held lock takes less than half a KiB.
func TestMemoryOfClaims(t *testing.T) {
	const n = 20_000
	for what, acquire := range map[string]func(i int) command.Command{
		"held": ordinary,
		"waiting for one key": func(i int) command.Command {
			c := ordinary(i)
			c.Key = "k"
			return c
		},
	} {
		before := heap()
		m := New(nil)
		hold(m, n, acquire)
		each := (heap() - before) / n
		t.Logf("%s: %d bytes for a claim, and %d of a snapshot", what, each, len(m.Snapshot())/n)
		if m.Claims() != n || each > 512 {
			t.Errorf("%s: %d claims take %d bytes each", what, m.Claims(), each)
		}
	}
}

// Keys and sessions that have come and gone take nothing, also if they were many.
func TestIdleKeysCostNothing(t *testing.T) {
	m := New(nil)
	before, room := len(m.Snapshot()), heap()
	hold(m, 50_000, ordinary)
	m.Apply(1e9, command.Batch{Stamp: int64(time.Hour)})
	if len(m.locks.queues)+len(m.locks.claims)+len(m.locks.overdue)+len(m.sessions.byNumber)+len(m.sessions.names)+len(m.sessions.expiring)+len(m.locks.lengths) != 0 {
		t.Errorf("%+v", m.Stats())
	}
	if after := len(m.Snapshot()); after > before+16 {
		t.Errorf("a snapshot of nothing has %d bytes, and had %d", after, before)
	}
	// But for some spare memory: the outcome of that entry, which is that of the next, too.
	m.outcome = Outcome{}
	if left := heap() - room; left > 2*maxFree*256 {
		t.Errorf("%d bytes are left", left)
	}
	if len(m.locks.free.claims) > maxFree || len(m.locks.free.queues) > maxFree {
		t.Errorf("%d and %d are kept", len(m.locks.free.claims), len(m.locks.free.queues))
	}
	for _, c := range m.locks.free.claims {
		if *c != (claim{}) {
			t.Fatalf("%+v", c)
		}
	}
}
