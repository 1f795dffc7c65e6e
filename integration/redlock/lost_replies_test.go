package redlock_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/persistent"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/internal/busy"
)

// losses is a client that loses messages of one kind, and another that does not.
type losses struct {
	*env
	loser, other *proxiedClient
	book         locktest.Ledger
	arm          func(p *proxy.Proxy, match func([]byte) bool, n int) *proxy.Fault
	nodes        int
}

// lose arms the loss at as many nodes as there are to be, and returns a function that waits until
// it has happened at each. The others answer a little late, so that these are asked in any case.
func (l *losses) lose(t *testing.T, match func([]byte) bool) (happened func()) {
	t.Helper()
	var faults []*proxy.Fault
	others := l.loser.links[l.nodes:]
	others.each(func(p *proxy.Proxy) { p.Delay(proxy.ToClient, 50*time.Millisecond) })
	for _, p := range l.loser.links[:l.nodes] {
		faults = append(faults, l.arm(p, match, 1))
	}
	return func() {
		t.Helper()
		for _, f := range faults {
			locktest.Await(t, locktest.Soon, "a message is lost", f.Fired())
		}
		others.each(func(p *proxy.Proxy) { p.Delay(proxy.ToClient, 0) })
	}
}

// eachLoss runs a test with a request lost, and with a reply lost, by one node and by a majority.
// Afterwards the loser must work as before, and nothing be left behind.
func eachLoss(t *testing.T, test func(t *testing.T, l *losses)) {
	t.Helper()
	t.Parallel()
	for name, arm := range map[string]func(p *proxy.Proxy, match func([]byte) bool, n int) *proxy.Fault{
		"request": (*proxy.Proxy).LoseRequest, "reply": (*proxy.Proxy).LoseReplyTo,
	} {
		for _, nodes := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s of %d", name, nodes), func(t *testing.T) {
				t.Parallel()
				w := sharedEnv(t, 3)
				l := &losses{env: w, loser: w.proxied(t, shortTTL), other: w.proxied(t, shortTTL), arm: arm, nodes: nodes}
				locktest.Unlock(t, locktest.Lock(t, l.loser, "warm"))
				test(t, l)
				l.book.TakeTurns(t, 2*locktest.Soon, "k", l.other.Client, l.loser.Client)
				w.expectNothingLeft(t, 4*shortTTL) // what a node was not told of ends so
			})
		}
	}
}

// TestLossOnLock: where a majority has answered nothing is amiss; otherwise the try is ended
// everywhere, and another one made under a number of its own.
func TestLossOnLock(t *testing.T) {
	eachLoss(t, func(t *testing.T, l *losses) {
		happened := l.lose(t, takes)
		lease := locktest.ExpectLock(t, locktest.StartLock(t.Context(), l.loser, "k"), 2*locktest.Soon)
		happened()
		l.book.Record(t, lease)
		if got, err := l.other.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("TryLock of another = %v, %v; want ErrHeld", got, err)
		}
		locktest.Unlock(t, lease)
	})
}

// TestLossOnTryLock: so does TryLock, whether it wins or not. It asks once more, and no longer: where
// two of three connections have broken at once, it may say that it is no use.
func TestLossOnTryLock(t *testing.T) {
	eachLoss(t, func(t *testing.T, l *losses) {
		happened := l.lose(t, takes)
		// With two messages lost there is no majority. The lock is asked for again then, and may be held for
		// a moment by the attempt before, whose nodes are being freed in the background.
		try := func(instead ...error) (lease *fencelock.Lease, err error) {
			locktest.Eventually(t, locktest.Soon, "TryLock has an answer", func() bool {
				lease, err = l.loser.TryLock(t.Context(), "k")
				return l.nodes == 1 || !slices.ContainsFunc(instead, func(e error) bool { return errors.Is(err, e) })
			})
			return lease, err
		}
		lease, err := try(fencelock.ErrUnavailable, fencelock.ErrHeld)
		if err != nil {
			t.Fatalf("TryLock of a free lock: %v", err)
		}
		happened()
		l.book.Record(t, lease)
		locktest.Unlock(t, lease)

		held := locktest.Lock(t, l.other, "k")
		l.book.Record(t, held)
		happened = l.lose(t, takes)
		if lease, err := try(fencelock.ErrUnavailable); !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("TryLock of a held lock = %v, %v; want ErrHeld", lease, err)
		}
		happened()
		locktest.Unlock(t, held)
	})
}

// TestLossOnWriteBack: a node's counter is behind, so that the token has to be written back to it.
func TestLossOnWriteBack(t *testing.T) {
	eachLoss(t, func(t *testing.T, l *losses) {
		l.book.TakeTurns(t, locktest.Soon, "k", l.other.Client, l.loser.Client)
		var faults []*proxy.Fault
		for _, p := range l.loser.links[:l.nodes] {
			faults = append(faults, l.arm(p, writesBack, 1))
		}
		// The third answers first, then the first: that is told the token. On a machine that is busy it
		// may be otherwise, and is tried again.
		for tries := 1; ; tries++ {
			l.advance(t, 2, 1000)
			for i, p := range l.loser.links[:2] {
				p.Delay(proxy.ToClient, time.Duration(1+i)*100*time.Millisecond*busy.Times())
			}
			lease := locktest.ExpectLock(t, locktest.StartLock(t.Context(), l.loser, "k", fencelock.WithTTL(4*shortTTL)), 6*locktest.Soon)
			for _, p := range l.loser.links[:2] {
				p.Delay(proxy.ToClient, 0)
			}
			l.book.Record(t, lease)
			locktest.Unlock(t, lease)
			if locktest.Within(time.Second, func() bool { return fired(faults[0]) }) {
				break
			}
			if tries == 5 {
				t.Fatal("nothing is written back to the first")
			}
		}
		for _, f := range faults {
			f.Cancel() // the second may not have been asked any more
		}
	})
}

func fired(f *proxy.Fault) bool {
	select {
	case <-f.Fired():
		return true
	default:
		return false
	}
}

// advance moves the counters of a node on by grants of which nobody has been told.
func (w *env) advance(t *testing.T, master int, by int64) {
	t.Helper()
	a := w.admins[master]
	names, err := a.Keys(t.Context(), w.name("t:*")).Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := a.IncrBy(t.Context(), name, by).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLossOnRenewal: the lease goes on.
func TestLossOnRenewal(t *testing.T) {
	eachLoss(t, func(t *testing.T, l *losses) {
		lease := locktest.Lock(t, l.loser, "k", fencelock.WithTTL(shortTTL))
		l.book.Record(t, lease)
		first := lease.ValidUntil()
		happened := l.lose(t, renews)
		happened()
		locktest.Eventually(t, shortTTL+locktest.Soon, "the lease outlives its first term", func() bool {
			return time.Now().After(first.Add(shortTTL/2)) || lease.Err() != nil
		})
		if err := lease.Err(); err != nil {
			t.Fatalf("Err = %v", err)
		}
		locktest.Unlock(t, lease)
	})
}

// TestLossOnUnlock: it returns nil, since the lock was held until then. One that waits gets it.
func TestLossOnUnlock(t *testing.T) {
	eachLoss(t, func(t *testing.T, l *losses) {
		lease := locktest.Lock(t, l.loser, "k")
		l.book.Record(t, lease)
		next := locktest.StartLock(t.Context(), l.other, "k", fencelock.WithTTL(shortTTL))
		locktest.AwaitWaiters(t, locktest.Soon, l.other.Client, "k", 1)
		happened := l.lose(t, ends)
		locktest.Unlock(t, lease)
		happened()
		lease = locktest.ExpectLock(t, next, shortTTL+locktest.Soon)
		l.book.Record(t, lease)
		locktest.Unlock(t, lease)
	})
}

// TestLossOnEvict: where a majority has said so, the holder is evicted; otherwise that cannot be found
// out by asking again, and it says so.
func TestLossOnEvict(t *testing.T) {
	eachLoss(t, func(t *testing.T, l *losses) {
		held := locktest.Lock(t, l.other, "k", fencelock.WithTTL(shortTTL))
		l.book.Record(t, held)
		happened := l.lose(t, ends)
		_, err := l.loser.Evict(t.Context(), "k", "")
		happened()
		switch {
		case l.nodes == 1 && err != nil:
			t.Errorf("Evict = %v with one node's message lost", err)
		case l.nodes == 2 && err != nil && !errors.Is(err, fencelock.ErrUnknown):
			t.Errorf("Evict = %v, want ErrUnknown", err)
		}
		if err == nil {
			locktest.ExpectLost(t, held, shortTTL+locktest.Slack)
			return
		}
		// Carried out or not: by a minority it is mended, or by a majority told.
		_ = held.Unlock(t.Context())
	})
}

// TestConformanceWithLostReplies runs the suite while each client loses replies: a node has done what
// it was asked, and nobody is told. That of one node is made up for by the others; where a
// majority's is lost, the core asks again, as package persistent does here. What is made of lost replies
// to Unlock and Evict, whose outcome cannot be had by asking again, is in loss_test.go; so nothing is
// lost of a majority at a time when there may be one of those on the same connections.
func TestConformanceWithLostReplies(t *testing.T) {
	for _, tc := range []struct {
		name  string
		to    []func([]byte) bool
		nodes int
	}{
		{"of one node", []func([]byte) bool{takes, writesBack, renews, ends, looks}, 1},
		{"of a majority, to renew", []func([]byte) bool{renews}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			w := sharedEnv(t, 3)
			h := w.harness(fenced, func(t drivertest.T, l links) driver.Backend {
				b := w.dial(t, l)
				for _, match := range tc.to {
					for _, p := range l[:tc.nodes] {
						p.LoseReplyTo(match, 1)
					}
				}
				return persistent.New(b)
			})
			h.Failover, h.Lacks["Failover"] = nil, "the masters are shared; TestConformance has it"
			drivertest.Run(t, h)
		})
	}
}
