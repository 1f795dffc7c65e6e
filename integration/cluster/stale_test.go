package cluster_test

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock/fencing"
	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// TestStaleReplica: a replica that has missed everything of late, or has nothing at all, takes the place of a dead master, or of
// one that lives. Locks are lost; their holders are told at once, those who wait get them, and no token falls.
func TestStaleReplica(t *testing.T) {
	t.Parallel()
	for _, s := range []stale{
		{"Stale", false, false},
		{"Empty", true, false},
		{"EmptyBesideALivingMaster", true, true},
	} {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			testStaleReplica(t, s)
		})
	}
}

type stale struct {
	name  string
	empty bool // the replica
	lives bool // the master
}

func testStaleReplica(t *testing.T, s stale) {
	w := startWorld(t)
	master := &w.Nodes[0]
	replica := w.ReplicasOf(t, master)[0]
	tag := w.keyAt(t, 0, "tag")

	holder, waiter := w.open(t, time.Minute), w.open(t, time.Hour)
	book := locktest.Ledger{TokensOnly: true} // that a lock is lost is part of the test: see below
	k := w.keyAt(t, 0, "k")
	before := locktest.Lock(t, holder, k) // the replica knows this one, and that it is free again
	book.Record(t, before)
	locktest.Unlock(t, before)
	known := locktest.Lock(t, holder, w.keyAt(t, 0, "known"))
	w.replicate(t, master, tag)
	w.freeze(t, replica)
	if s.empty {
		w.do(t, replica, "CONFIG", "SET", "replica-read-only", "no")
		w.do(t, replica, "FLUSHALL")
	}
	// What it does not know: who holds the lock, who waits, and a hundred tokens.
	highest := map[string]fencing.Token{}
	others := tagged(tag, "other", 100)
	for _, key := range others {
		l := locktest.Lock(t, holder, key)
		highest[key] = l.Token()
		locktest.Unlock(t, l)
	}
	held := locktest.Lock(t, holder, k)
	book.Record(t, held)
	waiting := locktest.StartLock(t.Context(), waiter, k)
	locktest.AwaitWaiters(t, locktest.Soon, holder, k, 1)

	bare := w.startBare(t, tag, replica)
	if s.lives {
		w.do(t, replica, "CLUSTER", "FAILOVER", "TAKEOVER")
	} else {
		master.Kill(t)
	}
	at := bare.await(t)
	locktest.ExpectLost(t, held, locktest.Soon)
	told := time.Since(at)
	t.Logf("the holder is told %v after the new master serves", told.Round(time.Millisecond))
	if told > time.Second+locktest.Slack {
		t.Errorf("the holder is told after %v, want it within a second", told)
	}
	next := locktest.ExpectLock(t, waiting, locktest.Soon)
	book.Record(t, next)
	locktest.Unlock(t, next)
	if s.empty {
		locktest.ExpectLost(t, known, locktest.Soon)
	} else {
		locktest.Unlock(t, known)
	}
	for _, key := range others {
		l := locktest.Lock(t, waiter, key)
		if l.Token() <= highest[key] {
			t.Errorf("the token of %s is %v, and was %v", key, l.Token(), highest[key])
		}
		locktest.Unlock(t, l)
	}
	w.expectNothingLeftAt(t, replica)
}
