package redis_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

func expectUnavailable(t *testing.T, a locktest.Attempt) {
	t.Helper()
	if !errors.Is(a.Err, fencelock.ErrUnavailable) || a.Lease != nil {
		t.Fatalf("Lock = %v, %v; want ErrUnavailable", a.Lease, a.Err)
	}
}

// expectHandedOver wants the next to have got the lock after the lease of the one
// before it ended in its own eyes. Both read one clock here.
func expectHandedOver(t *testing.T, before *fencelock.Lease, next locktest.Attempt) {
	t.Helper()
	if next.Err != nil {
		t.Fatalf("Lock: %v", next.Err)
	}
	if err := before.Err(); !errors.Is(err, fencelock.ErrLost) {
		t.Errorf("Err of the lease before = %v, want ErrLost", err)
	}
	if until := before.ValidUntil(); until.After(next.At) {
		t.Errorf("the next got the lock %v before the lease of the first had ended", until.Sub(next.At))
	}
	if next.Lease.Token() <= before.Token() {
		t.Errorf("token %v was granted after %v", next.Lease.Token(), before.Token())
	}
}

// TestPausedServer: a server that freezes for longer than the TTL, with every
// connection left open. The holder is told of its loss before the server, awake
// again, lets the next one in.
func TestPausedServer(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Start(t, kind), locktest.Namespace()
			holder, waiter := open(t, s.Addr(), ns, ttl), open(t, s.Addr(), ns, time.Minute)
			held := locktest.Lock(t, holder, "k")
			waiting := locktest.StartLock(t.Context(), waiter, "k")
			awaitWaiters(t, holder, "k", 1)
			s.Pause(t)
			paused := time.Now()
			locktest.ExpectLost(t, held, ttl+locktest.Slack)
			select {
			case a := <-waiting:
				t.Errorf("Lock = %v, %v while the server was paused", a.Lease, a.Err)
			case <-time.After(time.Until(paused.Add(ttl + ttl/4))):
			}
			s.Unpause(t)
			next := locktest.Outcome(t, waiting, 4*locktest.Soon)
			expectHandedOver(t, held, next)
			locktest.Unlock(t, next.Lease)
			l := locktest.Lock(t, holder, "k")
			locktest.Unlock(t, l)
		})
	}
}

// TestNetworkThatSwallows: what the holder sends, or what it is sent, or both,
// vanishes. Its lease ends in its own eyes before the next one gets the lock, and
// the next one gets it: requests that arrive and whose answers do not cannot keep
// a lock that nobody holds.
func TestNetworkThatSwallows(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	for _, dir := range []proxy.Direction{proxy.ToServer, proxy.ToClient, proxy.Both} {
		t.Run(dir.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Shared(t, servers.Redis), locktest.Namespace()
			holder := openMortal(t, s.Addr(), ns)
			waiter := open(t, s.Addr(), ns, time.Minute)
			held := locktest.Lock(t, holder, "k", fencelock.WithTTL(ttl))
			waiting := locktest.StartLock(t.Context(), waiter, "k")
			awaitWaiters(t, waiter, "k", 1)

			holder.link.Drop(dir)
			locktest.ExpectLost(t, held, ttl+locktest.Slack)
			// Renewals that did arrive were sent before that, and add a TTL at most.
			select {
			case next := <-waiting:
				expectHandedOver(t, held, next)
				locktest.Unlock(t, next.Lease)
			case <-time.After(ttl + locktest.Slack):
				t.Fatal("the next one does not get the lock")
			}
			holder.link.Heal()
			locktest.Unlock(t, locktest.Lock(t, holder, "k"))
			expectNothingLeft(t, raw(t, s.Addr()), ns)
		})
	}
}

// TestOutageShorterThanTheTTL: a partition that ends in time costs nothing. The
// holder holds, the one who waits keeps its position.
func TestOutageShorterThanTheTTL(t *testing.T) {
	t.Parallel()
	const ttl = 3 * time.Second
	s, ns := servers.Shared(t, servers.Redis), locktest.Namespace()
	watcher := open(t, s.Addr(), ns, time.Minute)
	holder, waiter := openMortal(t, s.Addr(), ns), openMortal(t, s.Addr(), ns)
	held := locktest.Lock(t, holder, "k", fencelock.WithTTL(ttl))
	waiting := locktest.StartLock(t.Context(), waiter, "k", fencelock.WithTTL(ttl))
	awaitWaiters(t, watcher, "k", 1)
	before := held.ValidUntil()
	holder.link.Blackhole()
	waiter.link.Blackhole()
	<-time.After(ttl / 2) // at least one renewal and one confirmation vanish
	if err := held.Err(); err != nil || held.ValidUntil() != before {
		t.Errorf("Err = %v, ValidUntil moved by %v; want the lease held, and not renewed", err, held.ValidUntil().Sub(before))
	}
	holder.link.Heal()
	waiter.link.Heal()
	locktest.Eventually(t, locktest.Soon, "the lease is renewed", func() bool { return held.ValidUntil().After(before) })
	<-time.After(time.Until(before)) // when it would have ended
	if err := held.Err(); err != nil {
		t.Errorf("Err = %v, want the lease held", err)
	}
	awaitWaiters(t, watcher, "k", 1)
	locktest.Unlock(t, held)
	locktest.Unlock(t, locktest.ExpectLock(t, waiting, locktest.Soon))
	expectNothingLeft(t, raw(t, s.Addr()), ns)
}
