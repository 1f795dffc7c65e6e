package redis_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// mortal is a client that can die: its process and machine are gone, and nobody
// tells the server.
type mortal struct {
	*fencelock.Client
	link *proxy.Proxy
}

func openMortal(t *testing.T, addr, ns string) mortal {
	t.Helper()
	p := through(t, addr)
	c := open(t, p.Addr(), ns, time.Minute)
	t.Cleanup(p.Heal) // before Close, which would wait for an answer
	return mortal{c, p}
}

func (m mortal) die() { m.link.Blackhole() }

// TestTheDeadDelayNoLongerThanTheirTTL: a client that dies, holding or waiting, delays
// those who live by its own TTL at most, however long theirs are. Where several
// died in a row it can be a third more, until the next who lives asks again.
// Nobody gets the lock before the lease of a dead holder has ended in its own eyes.
func TestTheDeadDelayNoLongerThanTheirTTL(t *testing.T) {
	t.Parallel()
	const ttl, patient = 2 * time.Second, time.Minute
	for _, tc := range []struct {
		name    string
		holder  time.Duration   // TTL of the one who holds; it dies if nobody else does
		waiters []time.Duration // TTLs of the dead in the queue
	}{
		{name: "holder", holder: ttl},
		{name: "waiter", holder: patient, waiters: []time.Duration{ttl}},
		{name: "three waiters", holder: patient, waiters: []time.Duration{ttl, ttl, ttl}},
		{name: "waiter after a holder with a short TTL", holder: 200 * time.Millisecond, waiters: []time.Duration{ttl}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Shared(t, servers.Redis), locktest.Namespace()
			watcher := open(t, s.Addr(), ns, patient)
			holder := openMortal(t, s.Addr(), ns)
			held := locktest.Lock(t, holder, "k", fencelock.WithTTL(tc.holder))
			var dead []mortal
			var theirs []<-chan locktest.Attempt
			for i, ttl := range tc.waiters {
				m := openMortal(t, s.Addr(), ns)
				ctx, cancel := context.WithCancel(t.Context())
				t.Cleanup(cancel)
				dead = append(dead, m)
				theirs = append(theirs, locktest.StartLock(ctx, m, "k", fencelock.WithTTL(ttl)))
				awaitWaiters(t, watcher, "k", i+1)
			}
			living := locktest.StartLock(t.Context(), open(t, s.Addr(), ns, patient), "k")
			awaitWaiters(t, watcher, "k", len(dead)+1)

			for _, m := range dead {
				m.die()
			}
			died := time.Now()
			if len(dead) == 0 {
				holder.die()
			} else {
				locktest.Unlock(t, held)
			}
			most := ttl
			if len(dead) > 1 {
				most += ttl / 3
			}
			l := locktest.ExpectLock(t, living, most+locktest.Slack/2)
			got := time.Now()
			t.Logf("the living got the lock after %v", got.Sub(died).Round(time.Millisecond))
			if until := held.ValidUntil(); len(dead) == 0 && until.After(got) {
				t.Errorf("the dead holder trusts its lease for another %v", until.Sub(got))
			}
			if len(dead) > 0 && got.Sub(died) < ttl/2 {
				t.Errorf("the dead waiters had no part in this: the test has tested nothing")
			}
			locktest.Unlock(t, l)
			for i, m := range dead {
				select {
				case a := <-theirs[i]:
					t.Errorf("dead waiter: Lock = %v, %v", a.Lease, a.Err)
				default:
				}
				m.link.Heal()
			}
		})
	}
}

// TestWaiterThatDiedLongAgoDelaysNobody: its position has expired when its turn comes.
func TestWaiterThatDiedLongAgoDelaysNobody(t *testing.T) {
	t.Parallel()
	const ttl = time.Second
	s, ns := servers.Shared(t, servers.Redis), locktest.Namespace()
	holder := open(t, s.Addr(), ns, time.Minute)
	held := locktest.Lock(t, holder, "k")
	dead := openMortal(t, s.Addr(), ns)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	locktest.StartLock(ctx, dead, "k", fencelock.WithTTL(ttl))
	awaitWaiters(t, holder, "k", 1)
	living := locktest.StartLock(t.Context(), open(t, s.Addr(), ns, time.Minute), "k")
	awaitWaiters(t, holder, "k", 2)
	dead.die()
	<-time.After(ttl + 100*time.Millisecond) // its position expires
	began := time.Now()
	locktest.Unlock(t, held)
	locktest.Unlock(t, locktest.ExpectLock(t, living, ttl/2))
	t.Logf("the living got the lock after %v", time.Since(began))
}

// TestLostPushDelaysAThirdOfTheTTL: a waiter whose push was lost finds its grant
// when it next confirms its position.
func TestLostPushDelaysAThirdOfTheTTL(t *testing.T) {
	t.Parallel()
	const ttl = 6 * time.Second
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Shared(t, kind), locktest.Namespace()
			holder := open(t, s.Addr(), ns, time.Minute)
			p := through(t, s.Addr())
			waiter := open(t, p.Addr(), ns, ttl)
			held := locktest.Lock(t, holder, "k")
			waiting := locktest.StartLock(t.Context(), waiter, "k")
			awaitWaiters(t, holder, "k", 1)
			lost := p.SwallowPush(func(push []byte) bool { return bytes.Contains(push, []byte("granted")) }, 1)

			locktest.Unlock(t, held)
			began := time.Now()
			locktest.Await(t, locktest.Soon, "the push is lost", lost.Fired())
			l := locktest.ExpectLock(t, waiting, ttl/3+locktest.Slack)
			t.Logf("the waiter got the lock after %v of a TTL of %v", time.Since(began).Round(time.Millisecond), ttl)
			if err := l.Ensure(t.Context(), ttl/2); err != nil {
				t.Errorf("the lease: %v", err)
			}
			locktest.Unlock(t, l)
		})
	}
}
