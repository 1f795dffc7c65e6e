package redlock_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/fencing"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestRollingRestart: the nodes are restarted one after the other, each with its data, and slowly
// enough that the one before serves again. Nothing is lost: holders hold, by the same tokens, one
// that waits gets the lock, others take turns meanwhile, and in the end each node has each lock.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	for _, n := range []int{3, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			w := ownEnv(t, n)
			// A node that lags on a busy machine has a third of this for each renewal.
			rollingRestart(t, w, 3*shortTTL, func(_ *testing.T, s *servers.Server) { s.Kill(t); s.Restart(t) })
		})
	}
}

// TestRollingRestartWithoutData: so it is with nodes that keep nothing, if each has abstained for
// the longest TTL before the next is restarted.
func TestRollingRestartWithoutData(t *testing.T) {
	t.Parallel()
	w := forgetfulEnv(t, 3, shortTTL)
	rollingRestart(t, w, shortTTL, func(t *testing.T, s *servers.Server) {
		s.Kill(t)
		s.Restart(t)
		back := time.Now()
		i := w.indexOf(s)
		locktest.Eventually(t, shortTTL+2*locktest.Soon, "it has locks again", func() bool { return w.record(i, "held 0") != "" })
		// Its clients cannot have seen it before it was back.
		if abstained := time.Since(back); abstained < shortTTL-500*time.Millisecond {
			t.Errorf("a master that knows nothing has a lock again %v after its restart, and the longest TTL is %v", abstained, shortTTL)
		}
	})
}

func (w *env) indexOf(s *servers.Server) int {
	for i := range w.masters {
		if w.masters[i] == s {
			return i
		}
	}
	return -1
}

func rollingRestart(t *testing.T, w *env, ttl time.Duration, restart func(*testing.T, *servers.Server)) {
	const locks = 10
	a, b, waiter := w.proxied(t, ttl), w.proxied(t, ttl), w.proxied(t, ttl)
	var book locktest.Ledger
	held, tokens := map[string]*fencelock.Lease{}, map[string]fencing.Token{}
	for i := range locks {
		l := locktest.Lock(t, []*proxiedClient{a, b}[i%2], fmt.Sprint("held ", i))
		book.Record(t, l)
		held[l.Key()], tokens[l.Key()] = l, l.Token()
	}
	for _, l := range held {
		w.awaitEverywhere(t, ttl+2*locktest.Soon, l)
	}
	waiting := locktest.StartLock(t.Context(), waiter, "held 0")
	locktest.AwaitWaiters(t, locktest.Soon, a.Client, "held 0", 1)
	stop := keepTurning(t, &book, "turns", a, b, waiter)
	for _, s := range w.masters {
		restart(t, s)
		back := time.Now()
		for _, l := range held {
			locktest.AwaitRenewal(t, l, ttl, back)
		}
		// What it has may be from before, and about to end. Half a TTL later that shows.
		time.Sleep(time.Until(back.Add(ttl / 2)))
		for _, l := range held {
			w.awaitFresh(t, ttl+locktest.Soon, l, ttl/2)
		}
	}
	t.Logf("%d turns meanwhile", stop())
	for key, l := range held {
		if s, err := waiter.Inspect(t.Context(), key); err != nil || !s.Held() || s.Holders[0].Token != tokens[key] {
			t.Errorf("Inspect of %q = %+v, %v; want token %v", key, s, err, tokens[key])
		}
		locktest.Unlock(t, l)
	}
	next := locktest.ExpectLock(t, waiting, locktest.Soon)
	book.Record(t, next)
	locktest.Unlock(t, next)
	w.expectNothingLeft(t, ttl)
}

// TestQuickRestartsHaveNoQuorum: a majority of nodes that keep nothing is restarted within the
// longest TTL. Nobody can know what they have granted, so that nothing is granted until they have
// abstained for that long, and the error says so.
func TestQuickRestartsHaveNoQuorum(t *testing.T) {
	t.Parallel()
	abstain := 4 * shortTTL // longer than the restarts take
	w := forgetfulEnv(t, 3, abstain)
	holder, other := w.proxied(t, shortTTL), w.proxied(t, shortTTL)
	var book locktest.Ledger
	held := locktest.Lock(t, holder, "k")
	book.Record(t, held)
	began := time.Now() // nobody can have seen the first of them restarted before
	for _, s := range w.masters[:2] {
		s.Kill(t)
		s.Restart(t)
	}
	l, err := other.TryLock(t.Context(), "other")
	expectNoQuorum(t, l, err, other.links[0].Addr(), other.links[1].Addr())
	t.Log(err)
	if text := err.Error(); !strings.Contains(text, "restart") && !strings.Contains(text, "lost its data") { // if it was seen already
		t.Errorf("%v; want that nodes were restarted, or what they have lost by it", err)
	}
	// What was held is not lost by that: the third node has it, and the two get it again. But it may
	// be: two of three have to confirm it in time.
	next := locktest.ExpectLock(t, locktest.StartLock(t.Context(), other, "other", fencelock.WithTTL(abstain)), abstain+3*locktest.Soon)
	if took := time.Since(began); took < abstain {
		t.Errorf("a majority of masters that know nothing grants a lock %v after the restart; the longest TTL is %v", took, abstain)
	}
	locktest.Unlock(t, next)
	if err := held.Unlock(t.Context()); err != nil && !errors.Is(err, fencelock.ErrLost) {
		t.Errorf("Unlock: %v", err)
	}
	book.TakeTurns(t, 2*locktest.Soon, "k", other.Client, holder.Client)
}

// TestPowerLoss: power fails at all nodes at once. With their data that is an outage and nothing
// else: the holder holds, by the same token, and one that waits gets the lock when it is free.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	w := ownEnv(t, 3)
	holder, waiter := w.proxied(t, longTTL), w.proxied(t, longTTL) // longer than the outage
	var book locktest.Ledger
	book.TakeTurns(t, locktest.Soon, "k", holder.Client) // then the counters are equal, and each node knows the token
	held := locktest.Lock(t, holder, "k")
	book.Record(t, held)
	waiting := locktest.StartLock(t.Context(), waiter, "k")
	locktest.AwaitWaiters(t, locktest.Soon, holder.Client, "k", 1)
	concurrently(w.masters, func(s *servers.Server) { s.Kill(t) })
	concurrently(w.masters, func(s *servers.Server) { s.Restart(t) })
	locktest.Eventually(t, 2*locktest.Soon, "the masters serve again", func() bool {
		s, err := waiter.Inspect(t.Context(), "k")
		if err == nil && s.Held() && s.Holders[0].Token != held.Token() {
			t.Fatalf("Inspect = %+v; want token %v", s, held.Token())
		}
		return err == nil
	})
	// The holder's client may look at the nodes a little later than the waiter's.
	locktest.Eventually(t, 2*locktest.Soon, "the lease is renewed", func() bool { return held.Ensure(t.Context(), longTTL*4/5) == nil })
	locktest.Unlock(t, held)
	next := locktest.ExpectLock(t, waiting, 2*locktest.Soon)
	book.Record(t, next)
	locktest.Unlock(t, next)
	w.expectNothingLeft(t, 4*shortTTL)
}
