package sentinel_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/fencelock/fencelock/fencing"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestStaleReplica: a replica that has missed everything of late, or has nothing at all, takes a dead master's place. Locks are
// lost; their holders are told at once, those who wait get them, and no token falls.
func TestStaleReplica(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"stale", "empty"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testStaleReplica(t, name == "empty")
		})
	}
}

func testStaleReplica(t *testing.T, empty bool) {
	e := startEnv(t, "secret")
	e.Hasten(t)
	master, stale, other := e.Servers[0], e.Servers[1], e.Servers[2]
	e.do(t, other, "CONFIG", "SET", "replica-priority", 0) // it is never chosen
	e.awaitPriority(t, 0)

	holder, waiter := e.open(t, time.Minute), e.open(t, time.Hour)
	var book locktest.Ledger // that a lock is lost is part of the test: see below
	book.TokensOnly = true
	before := locktest.Lock(t, holder, "k") // the replica knows this one, and that it is free again
	book.Record(t, before)
	locktest.Unlock(t, before)
	known := locktest.Lock(t, holder, "known")
	e.replicate(t, master)

	e.do(t, stale, "CONFIG", "SET", "masterauth", "wrong") // it is let in no more
	e.do(t, stale, "CLIENT", "KILL", "TYPE", "MASTER")
	locktest.Eventually(t, locktest.Soon, "the replica is cut off", func() bool {
		return e.info(t, stale, "replication")["master_link_status"] == "down"
	})
	if empty {
		e.do(t, stale, "CONFIG", "SET", "replica-read-only", "no")
		e.do(t, stale, "FLUSHALL")
	}
	// What it does not know: who holds "k", who waits, and a hundred tokens.
	highest := before.Token()
	for i := range 100 {
		l := locktest.Lock(t, holder, fmt.Sprint(i))
		highest = max(highest, l.Token())
		locktest.Unlock(t, l)
	}
	held := locktest.Lock(t, holder, "k")
	book.Record(t, held)
	waiting := locktest.StartLock(t.Context(), waiter, "k")
	locktest.AwaitWaiters(t, locktest.Soon, holder, "k", 1)

	bare := e.startBare(t, master)
	master.Kill(t)
	at := bare.await(t)
	if got := e.MasterAfter(t, master); got != stale {
		t.Fatalf("the new master is %s, want %s", got.Addr(), stale.Addr())
	}
	locktest.ExpectLost(t, held, locktest.Soon)
	told := time.Since(at)
	t.Logf("the holder is told %v after the new master serves", told.Round(time.Millisecond))
	if told > time.Second+locktest.Slack {
		t.Errorf("the holder is told after %v, want it within a second", told)
	}
	next := locktest.ExpectLock(t, waiting, locktest.Soon)
	book.Record(t, next)
	locktest.Unlock(t, next)
	if empty {
		locktest.ExpectLost(t, known, locktest.Soon)
	} else {
		locktest.Unlock(t, known)
	}
	var lowest fencing.Token
	for i := range 100 {
		l := locktest.Lock(t, waiter, fmt.Sprint(i))
		if lowest == 0 || l.Token() < lowest {
			lowest = l.Token()
		}
		locktest.Unlock(t, l)
	}
	if lowest <= highest || lowest <= held.Token() {
		t.Errorf("the tokens begin again at %v, and were at %v", lowest, max(highest, held.Token()))
	}
	e.expectNothingLeft(t, stale)
}

// awaitPriority returns when all Sentinels know that one replica has a priority.
func (e *env) awaitPriority(t *testing.T, priority int) {
	t.Helper()
	locktest.Eventually(t, locktest.Electing, "the Sentinels know the priority", func() bool {
		for _, s := range e.Sentinels.Sentinels {
			all, err := e.admin(s).Do(t.Context(), "SENTINEL", "REPLICAS", servers.MasterName).Slice()
			knows := false
			for _, one := range all {
				list, _ := one.(map[any]any)
				knows = knows || fmt.Sprint(list["slave-priority"]) == fmt.Sprint(priority)
			}
			if err != nil || !knows {
				return false
			}
		}
		return true
	})
}
