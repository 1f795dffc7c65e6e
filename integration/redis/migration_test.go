package redis_test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// queued is a lock that has a holder and three that wait.
func (s *slot) queued(t testing.TB, x lockScripts, h *hearers, name string) *slotLock {
	t.Helper()
	l := s.newLock(t, x, h, name)
	l.acquire(l.attempt("holder"), "try")
	for i := range 3 {
		l.acquire(l.attempt(fmt.Sprint("waiter", i)), "wait")
	}
	return l
}

// exercise does once whatever is done with a lock that is queued for, until nobody has it nor waits.
func (l *slotLock) exercise() {
	l.t.Helper()
	h, w := l.attempt("holder"), []string{l.attempt("waiter0"), l.attempt("waiter1"), l.attempt("waiter2"), l.attempt("waiter3")}
	late := l.attempt("late")

	l.acquire(w[1], "wait")
	l.acquire(w[0], "wait")
	l.renew(h)
	l.renew(w[0])
	l.acquire(w[3], "wait")
	l.acquire(l.attempt("passer-by"), "try")
	l.acquire(late, "wait")

	l.release(w[1], true) // it gives up, and its last packet comes late
	l.acquire(w[1], "wait")
	l.acquire(w[1], "wait")
	l.release(w[1], true)
	l.release(late, false)

	l.release(h, false) // to waiter0
	l.release(h, false)
	l.renew(h)
	l.acquire(w[0], "wait") // as if the notification had been lost

	l.acquire(late, "wait")
	l.die()
	l.acquire(w[2], "wait") // just before, or after
	l.awaitEnd()
	l.acquire(w[3], "wait") // to waiter2
	l.renew(w[0])
	l.release(w[0], false)

	l.dieWaiting(w[3])
	l.release(w[2], true) // past waiter3, to the last one
	l.acquire(w[2], "wait")
	l.acquire(w[2], "try")
	l.renew(late)
	l.release(late, false)

	l.acquire(h, "wait") // from the beginning, with an attempt that held it once
	l.acquire(w[0], "wait")
	l.evict(w[0])
	l.evict(h)
	l.release(w[0], false)
	next := l.attempt("next")
	l.acquire(next, "try")
	l.die()
	l.awaitEnd()
	l.acquire(l.attempt("after"), "wait")
	l.release(l.attempt("after"), true)
	l.acquire(l.attempt("after"), "wait")
}

// clusterVariable names the servers, as servers.Kind names them, of which Clusters are made: "Redis 7.0,Valkey".
// Without it, it is the current Redis. `make cluster-matrix` sets it.
const clusterVariable = "FENCELOCK_REDIS_CLUSTERS"

// TestSlotMigration: a slot moves between two nodes of a Cluster while locks in it are held and queued for, and
// each lock goes on as if nothing happened, at each moment of the migration.
func TestSlotMigration(t *testing.T) {
	t.Parallel()
	kinds := []servers.Kind{servers.Redis}
	if only := os.Getenv(clusterVariable); only != "" {
		kinds = nil
		for name := range strings.SplitSeq(only, ",") {
			at := slices.IndexFunc(servers.AllRedises(), func(k servers.Kind) bool { return k.String() == name })
			if at < 0 {
				t.Fatalf("%s has %q: it can have %v", clusterVariable, name, servers.AllRedises())
			}
			kinds = append(kinds, servers.AllRedises()[at])
		}
	}
	for _, kind := range kinds {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			testMigration(t, startSlots(t, kind))
		})
	}
}

func testMigration(t *testing.T, c *slots) {
	// First, since Redis does it only where no slot moves key by key.
	if c.movesAtomically(t) {
		t.Run("as a whole, at random", func(t *testing.T) { atRandom(t, c.slot(t), theScripts(t), true) })
	} else {
		t.Logf("%v moves no slot as a whole: Redis does since 8.4, Valkey since 9.0", c)
	}
	t.Run("key by key", func(t *testing.T) {
		t.Parallel()
		s, began := c.slot(t), time.Now()
		moveByKeys(t, s, theScripts(t))
		t.Logf("%v: the slot has moved in %v; MOVED %d times, ASK %d", c, time.Since(began), s.moved, s.asked)
	})
	t.Run("key by key at random", func(t *testing.T) {
		t.Parallel()
		atRandom(t, c.slot(t), theScripts(t), false)
	})
	t.Run("mutants", func(t *testing.T) { testMutants(t, c) })
}

// moveByKeys moves a slot key by key. At each moment it does with a lock whatever can be done with one; and for
// each step of that there is a lock whose key moves before it.
func moveByKeys(t testing.TB, s *slot, x lockScripts) {
	t.Helper()
	const from, to = 0, 1
	h := s.newHearers(t, locktest.Namespace())
	locks := map[string]*slotLock{}
	for _, name := range []string{"before", "open", "moved", "all moved", "settled there", "settled"} {
		locks[name] = s.queued(t, x, h, name)
	}
	reference := s.queued(t, x, h, "reference")
	reference.exercise()
	var moving []*slotLock
	for at := locks["before"].commands; at < reference.commands; at++ {
		l := s.queued(t, x, h, fmt.Sprint("moves before command ", at))
		l.before[at] = func() { s.move(t, from, to, l.key) }
		moving = append(moving, l)
	}

	locks["before"].exercise()
	s.open(t, from, to)
	locks["open"].exercise()
	asked := s.asked
	fresh := s.queued(t, x, h, "fresh")
	if s.asked != asked+4 || s.has(t, from, fresh.key) || !s.has(t, to, fresh.key) {
		t.Fatalf("a lock that did not exist: ASK %d times, want 4", s.asked-asked)
	}
	fresh.exercise()
	for _, l := range moving {
		l.exercise()
	}
	s.move(t, from, to, locks["moved"].key)
	locks["moved"].exercise()
	s.moveAll(t, from, to)
	locks["all moved"].exercise()
	s.settle(t, to, to)
	locks["settled there"].exercise()
	s.settle(t, from, to)
	locks["settled"].exercise()
	if s.owner != to {
		t.Fatal("the client was not told that the slot has moved")
	}
}
