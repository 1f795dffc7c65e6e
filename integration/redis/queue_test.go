package redis_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestQueueIsFair: clients get the lock in the order in which the server met them.
func TestQueueIsFair(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			const n = 8
			s, ns := servers.Shared(t, kind), namespace()
			first := open(t, s.Addr(), ns, time.Minute)
			var book ledger
			held := lock(t, first, "k")
			book.enter(t, held)
			var waiting []<-chan attempt
			for i := range n {
				c := open(t, s.Addr(), ns, time.Minute)
				waiting = append(waiting, startLock(t.Context(), c, "k"))
				awaitWaiters(t, first, "k", i+1)
			}
			for _, w := range waiting {
				unlock(t, held)
				held = expectLock(t, w, soon) // the others wait: each would be next in its turn
				book.enter(t, held)
			}
			unlock(t, held)
			expectNothingLeft(t, raw(t, s.Addr()), ns)
		})
	}
}

// TestHandOffIsPushed: a waiter learns of its grant from the server and does not
// ask for it: with a TTL of an hour, its next question is 20 minutes away.
func TestHandOffIsPushed(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.Redis), namespace()
	clients := []*fencelock.Client{open(t, s.Addr(), ns, time.Hour), open(t, s.Addr(), ns, time.Hour)}
	held := lock(t, clients[0], "k")
	var gaps []time.Duration
	for i := range 40 {
		next := startLock(t.Context(), clients[(i+1)%2], "k")
		awaitWaiters(t, clients[0], "k", 1)
		released := time.Now()
		unlock(t, held)
		got := outcome(t, next, soon)
		if got.err != nil {
			t.Fatalf("Lock: %v", got.err)
		}
		held = got.lease
		gaps = append(gaps, got.at.Sub(released))
	}
	unlock(t, held)
	slices.Sort(gaps)
	t.Logf("from Unlock to the next Lock's return: median %v, longest %v", gaps[len(gaps)/2], gaps[len(gaps)-1])
	if gaps[len(gaps)/2] > 100*time.Millisecond {
		t.Errorf("half of the hand-offs take longer than %v", gaps[len(gaps)/2])
	}
}

// TestCancelledWaiterDelaysNobody: one that leaves from the middle of the queue.
func TestCancelledWaiterDelaysNobody(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.Redis), namespace()
	var clients []*fencelock.Client
	for range 4 {
		clients = append(clients, open(t, s.Addr(), ns, time.Hour))
	}
	held := lock(t, clients[0], "k")
	before := startLock(t.Context(), clients[1], "k")
	awaitWaiters(t, clients[0], "k", 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := startLock(ctx, clients[2], "k")
	awaitWaiters(t, clients[0], "k", 2)
	after := startLock(t.Context(), clients[3], "k")
	awaitWaiters(t, clients[0], "k", 3)

	cancel()
	if got := outcome(t, cancelled, soon); !errors.Is(got.err, context.Canceled) || got.lease != nil {
		t.Fatalf("Lock = %v, %v; want context.Canceled", got.lease, got.err)
	}
	awaitWaiters(t, clients[0], "k", 2)
	unlock(t, held)
	unlock(t, expectLock(t, before, soon))
	unlock(t, expectLock(t, after, soon))
	expectNothingLeft(t, raw(t, s.Addr()), ns)
}

// TestTryLockThatLosesChangesNothing: neither the lock, nor its queue, nor its
// counter, nor how long they live, whether or not somebody waits.
func TestTryLockThatLosesChangesNothing(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			s, ns := servers.Shared(t, kind), namespace()
			admin := raw(t, s.Addr())
			holder, waiter, loser := open(t, s.Addr(), ns, time.Hour), open(t, s.Addr(), ns, time.Hour), open(t, s.Addr(), ns, time.Hour)
			held := lock(t, holder, "k")
			expectUnchanged := func(when string) {
				t.Helper()
				before := dump(t, admin, ns)
				for range 5 {
					if l, err := loser.TryLock(t.Context(), "k", fencelock.WithTTL(2*time.Hour)); !errors.Is(err, fencelock.ErrHeld) {
						t.Fatalf("TryLock = %v, %v; want ErrHeld", l, err)
					}
				}
				if after := dump(t, admin, ns); !maps.Equal(before, after) {
					t.Errorf("%s: the server had %q, and has %q", when, before, after)
				}
			}
			expectUnchanged("nobody waits")
			next := startLock(t.Context(), waiter, "k")
			awaitWaiters(t, holder, "k", 1)
			expectUnchanged("somebody waits")
			unlock(t, held)
			unlock(t, expectLock(t, next, soon))
			expectNothingLeft(t, admin, ns)
		})
	}
}

// dump is all that a server has of a namespace: by name, the value and the moment
// at which it expires.
func dump(t *testing.T, admin *goredis.Client, ns string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, name := range namesIn(t, admin, ns) {
		at, err := admin.Do(t.Context(), "PEXPIRETIME", name).Int64()
		if err != nil {
			t.Fatalf("PEXPIRETIME: %v", err)
		}
		all[name] = fmt.Sprintf("%q expires %d", admin.Dump(t.Context(), name).Val(), at)
	}
	return all
}
