package redlock_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestClockOfOneMaster: the wall clock of a minority jumps by an hour, forward or back. Nobody
// notices: what the node forgets at once, or keeps for too long, does not make a majority.
func TestClockOfOneMaster(t *testing.T) {
	t.Parallel()
	for _, jump := range []time.Duration{time.Hour, -time.Hour} {
		t.Run(jump.String(), func(t *testing.T) {
			t.Parallel()
			w := newEnv(t, servers.StartMasters(t, kinds(t, 3), durable(), servers.SkewedClock()))
			holder, waiter, other := w.proxied(t, shortTTL), w.proxied(t, shortTTL), w.proxied(t, shortTTL)
			var book locktest.Ledger
			held := locktest.Lock(t, holder, "k")
			book.Record(t, held)
			w.awaitEverywhere(t, shortTTL+2*locktest.Soon, held)
			survivors := locktest.Survivors{
				Held: held, TTL: shortTTL, Other: other.Client, Book: &book,
				Waiting: locktest.StartLock(t.Context(), waiter, "k"),
			}
			home := w.home(t, "k")
			w.masters[home].SetClock(t, jump)
			// A lock that was on two of three at that moment, since the third was slower, may be lost.
			stop := keepTurning(t, &book, "turns", holder, waiter, other)
			survivors.HandOff(t, time.Now())
			l := locktest.Lock(t, other, "taken meanwhile")
			book.Record(t, l)
			if stop() == 0 {
				t.Error("nobody has had a turn meanwhile")
			}
			w.awaitEverywhere(t, shortTTL+locktest.Soon, l)
			w.masters[home].SetClock(t, 0)
			w.awaitFresh(t, shortTTL+locktest.Soon, l, 0)
			locktest.Unlock(t, l)
			book.TakeTurns(t, locktest.Soon, "k", holder.Client, waiter.Client, other.Client)
		})
	}
}

// TestClocksSetForward: the clocks of all nodes are set forward by an hour, so that all leases
// end at once there. Another may get the lock before the holder is told, which is what the level
// does not promise; the tokens rise, so that what the first writes afterwards is refused.
func TestClocksSetForward(t *testing.T) {
	t.Parallel()
	w := newEnv(t, servers.StartMasters(t, kinds(t, 3), durable(), servers.SkewedClock()))
	holder, other := w.proxied(t, shortTTL), w.proxied(t, shortTTL)
	book := locktest.Ledger{TokensOnly: true}
	for hours := range 3 {
		held := locktest.Lock(t, holder, "k")
		book.Record(t, held)
		w.setClocks(t, time.Duration(hours+1)*time.Hour)
		next := locktest.ExpectLock(t, locktest.StartLock(t.Context(), other, "k"), shortTTL+locktest.Soon)
		book.Record(t, next)
		if err := book.Store.Admit("k", held.Token()); err == nil {
			t.Error("the store takes the first holder's token")
		}
		locktest.ExpectLost(t, held, shortTTL+locktest.Slack)
		locktest.Unlock(t, next)
	}
}

func (w *env) setClocks(t *testing.T, d time.Duration) {
	t.Helper()
	for _, s := range w.masters {
		s.SetClock(t, d)
	}
}

// TestClocksSetBack: the clocks of all nodes are set back by an hour. Who lives keeps its lock;
// who has died is in the way for a TTL more, counted from when somebody came or asked again, and not
// for the time of the jump.
func TestClocksSetBack(t *testing.T) {
	t.Parallel()
	w := newEnv(t, servers.StartMasters(t, kinds(t, 3), durable(), servers.SkewedClock()))
	c, dying := w.proxied(t, shortTTL), w.proxied(t, shortTTL)
	held := locktest.Lock(t, c, "held")
	dead := []string{"waited for", "not waited for", "tried"}
	var theirs []*fencelock.Lease
	for _, key := range dead {
		theirs = append(theirs, locktest.Lock(t, dying, key))
	}
	waiting := locktest.StartLock(t.Context(), c, "waited for")
	locktest.AwaitWaiters(t, locktest.Soon, c.Client, "waited for", 1)
	dying.links.each((*proxy.Proxy).Blackhole)
	w.setClocks(t, -time.Hour)
	back := time.Now()
	coming := locktest.StartLock(t.Context(), c, "not waited for")
	if l, err := c.TryLock(t.Context(), "tried"); err == nil {
		t.Errorf("TryLock succeeds at once, with token %v", l.Token())
	}
	for _, a := range []<-chan locktest.Attempt{waiting, coming} {
		got := locktest.Outcome(t, a, shortTTL+shortTTL/3+locktest.Soon)
		if got.Err != nil {
			t.Fatalf("Lock: %v", got.Err)
		}
		for i, key := range dead {
			if key == got.Lease.Key() && theirs[i].ValidUntil().After(got.At) {
				t.Errorf("%q is granted after %v, and its holder might have lived", key, got.At.Sub(back))
			}
		}
	}
	locktest.Eventually(t, locktest.Soon, "TryLock succeeds", func() bool {
		_, err := c.TryLock(t.Context(), "tried")
		return err == nil
	})
	if err := held.Err(); err != nil {
		t.Errorf("a holder that lives: %v", err)
	}
	locktest.Unlock(t, held)
}

// TestNewCountersWithClocksSetBack: a counter begins at the clock. Tokens of a key rise all the same
// when the clocks have been set back since others of its shard were given.
func TestNewCountersWithClocksSetBack(t *testing.T) {
	t.Parallel()
	w := newEnv(t, servers.StartMasters(t, kinds(t, 3), durable(), servers.SkewedClock()))
	var book locktest.Ledger
	for i := range 3 {
		c := w.proxied(t, shortTTL)
		for n := range 20 {
			book.TakeTurns(t, locktest.Soon, fmt.Sprint(n), c.Client)
			book.TakeTurns(t, locktest.Soon, fmt.Sprint("of client ", i, " ", n), c.Client)
		}
		w.masters[i].SetClock(t, -time.Hour)
	}
}
