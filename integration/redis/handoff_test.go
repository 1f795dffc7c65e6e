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
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestQueueIsFair: clients get the lock in the order in which the server met them.
func TestQueueIsFair(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			const n = 8
			s, ns := servers.Shared(t, kind), locktest.Namespace()
			first := open(t, s.Addr(), ns, time.Minute)
			var book locktest.Ledger
			held := locktest.Lock(t, first, "k")
			book.Record(t, held)
			var waiting []<-chan locktest.Attempt
			for i := range n {
				c := open(t, s.Addr(), ns, time.Minute)
				waiting = append(waiting, locktest.StartLock(t.Context(), c, "k"))
				awaitWaiters(t, first, "k", i+1)
			}
			for _, w := range waiting {
				locktest.Unlock(t, held)
				held = locktest.ExpectLock(t, w, locktest.Soon) // the others wait: each would be next in its turn
				book.Record(t, held)
			}
			locktest.Unlock(t, held)
			expectNothingLeft(t, raw(t, s.Addr()), ns)
		})
	}
}

// TestHandOffIsPushed: a waiter learns of its grant from the server and does not
// ask for it: with a TTL of an hour, its next question is 20 minutes away.
func TestHandOffIsPushed(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.Redis), locktest.Namespace()
	clients := []*fencelock.Client{open(t, s.Addr(), ns, time.Hour), open(t, s.Addr(), ns, time.Hour)}
	held := locktest.Lock(t, clients[0], "k")
	var gaps []time.Duration
	for i := range 40 {
		next := locktest.StartLock(t.Context(), clients[(i+1)%2], "k")
		awaitWaiters(t, clients[0], "k", 1)
		released := time.Now()
		locktest.Unlock(t, held)
		got := locktest.Outcome(t, next, locktest.Soon)
		if got.Err != nil {
			t.Fatalf("Lock: %v", got.Err)
		}
		held = got.Lease
		gaps = append(gaps, got.At.Sub(released))
	}
	locktest.Unlock(t, held)
	slices.Sort(gaps)
	t.Logf("from Unlock to the next Lock's return: median %v, longest %v", gaps[len(gaps)/2], gaps[len(gaps)-1])
	if gaps[len(gaps)/2] > 100*time.Millisecond {
		t.Errorf("half of the hand-offs take longer than %v", gaps[len(gaps)/2])
	}
}

// TestCancelledWaiterDelaysNobody: one that leaves from the middle of the queue.
func TestCancelledWaiterDelaysNobody(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.Redis), locktest.Namespace()
	var clients []*fencelock.Client
	for range 4 {
		clients = append(clients, open(t, s.Addr(), ns, time.Hour))
	}
	held := locktest.Lock(t, clients[0], "k")
	before := locktest.StartLock(t.Context(), clients[1], "k")
	awaitWaiters(t, clients[0], "k", 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := locktest.StartLock(ctx, clients[2], "k")
	awaitWaiters(t, clients[0], "k", 2)
	after := locktest.StartLock(t.Context(), clients[3], "k")
	awaitWaiters(t, clients[0], "k", 3)

	cancel()
	if got := locktest.Outcome(t, cancelled, locktest.Soon); !errors.Is(got.Err, context.Canceled) || got.Lease != nil {
		t.Fatalf("Lock = %v, %v; want context.Canceled", got.Lease, got.Err)
	}
	awaitWaiters(t, clients[0], "k", 2)
	locktest.Unlock(t, held)
	locktest.Unlock(t, locktest.ExpectLock(t, before, locktest.Soon))
	locktest.Unlock(t, locktest.ExpectLock(t, after, locktest.Soon))
	expectNothingLeft(t, raw(t, s.Addr()), ns)
}

// TestTryLockThatLosesChangesNothing: neither the lock, nor its queue, nor its
// counter, nor how long they live, whether or not somebody waits.
func TestTryLockThatLosesChangesNothing(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			s, ns := servers.Shared(t, kind), locktest.Namespace()
			admin := raw(t, s.Addr())
			holder, waiter, loser := open(t, s.Addr(), ns, time.Hour), open(t, s.Addr(), ns, time.Hour), open(t, s.Addr(), ns, time.Hour)
			held := locktest.Lock(t, holder, "k")
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
			next := locktest.StartLock(t.Context(), waiter, "k")
			awaitWaiters(t, holder, "k", 1)
			expectUnchanged("somebody waits")
			locktest.Unlock(t, held)
			locktest.Unlock(t, locktest.ExpectLock(t, next, locktest.Soon))
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

// A push may be late: it may tell of a hand-off whose grant was evicted before
// the waiter was last told that it waits. It must not be taken for a grant.
func TestStalePushIsNotAGrant(t *testing.T) {
	s := servers.Shared(t, servers.Redis)
	ns := locktest.Namespace()
	a, b := dial(t, s.Addr(), ns), dial(t, s.Addr(), ns)
	server := raw(t, s.Addr())
	ctx := t.Context()

	held, err := a.Acquire(ctx, driver.Request{Key: "k", AttemptID: "holder", TTL: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		g   driver.Grant
		err error
	}
	got := make(chan result, 1)
	go func() {
		g, err := b.Acquire(ctx, driver.Request{Key: "k", AttemptID: "waiter", TTL: 30 * time.Second, Wait: true})
		got <- result{g, err}
	}()
	locktest.Eventually(t, 5*time.Second, "the waiter is queued", func() bool {
		st, err := a.Inspect(ctx, "k")
		return err == nil && st.Waiters == 1
	})
	// What the server would have pushed for the holder's own token, or an older
	// one, arrives now, at every client of the namespace.
	channels, err := server.PubSubChannels(context.Background(), ns+":c:*").Result()
	if err != nil || len(channels) != 2 {
		t.Fatalf("channels %v, %v; want one for each client", channels, err)
	}
	for _, token := range []string{held.Token.String(), (held.Token - 1).String(), "", "nonsense"} {
		for _, c := range channels {
			if err := server.Publish(ctx, c, "granted waiter "+token).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	select {
	case r := <-got:
		t.Fatalf("a stale push was taken for a grant: %+v, %v", r.g, r.err)
	case <-time.After(300 * time.Millisecond):
	}
	if err := a.Release(ctx, held); err != nil {
		t.Fatal(err)
	}
	r := <-got
	if r.err != nil || r.g.Token <= held.Token {
		t.Fatalf("the waiter got %+v, %v", r.g, r.err)
	}
	if err := b.Release(ctx, r.g); err != nil {
		t.Fatal(err)
	}
}

// TestDeadHolderBehindACancelledWaiter: the waiter that becomes the first in the queue
// because the one before it left must know of it before the holder's lease ends.
func TestDeadHolderBehindACancelledWaiter(t *testing.T) {
	t.Parallel()
	const ttl = time.Second
	s, ns := servers.Shared(t, servers.Redis), locktest.Namespace()
	watcher, holder := open(t, s.Addr(), ns, time.Minute), openMortal(t, s.Addr(), ns)
	locktest.Lock(t, holder, "k", fencelock.WithTTL(ttl))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	locktest.StartLock(ctx, open(t, s.Addr(), ns, time.Minute), "k")
	awaitWaiters(t, watcher, "k", 1)
	living := locktest.StartLock(t.Context(), open(t, s.Addr(), ns, time.Minute), "k")
	awaitWaiters(t, watcher, "k", 2)
	cancel()
	awaitWaiters(t, watcher, "k", 1)
	holder.die()
	locktest.Unlock(t, locktest.ExpectLock(t, living, ttl+locktest.Slack))
}
