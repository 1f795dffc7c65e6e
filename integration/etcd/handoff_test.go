package etcd_test

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// claimEvents matches what is told of claims.
var (
	claimEvents = func(push []byte) bool { return bytes.Contains(push, []byte("/locks/")) }
)

// queueWorld is a holder, and a client that waits behind it through a proxy.
type queueWorld struct {
	admin          *clientv3.Client
	link           *proxy.Proxy
	holder, waiter *fencelock.Client
	ns             string
	book           locktest.Ledger
	held           *fencelock.Lease
	waiting        <-chan locktest.Attempt
}

// queue makes the waiter wait, and returns when it watches the holder's claim.
func queue(t *testing.T, s *servers.Server, ttl time.Duration) *queueWorld {
	t.Helper()
	w := &queueWorld{ns: locktest.Namespace(), admin: raw(t, s.Addr()), link: through(t, s.Addr())}
	w.holder, w.waiter = open(t, s.Addr(), w.ns, time.Minute), open(t, w.link.Addr(), w.ns, ttl)
	w.held = locktest.Lock(t, w.holder, "k")
	w.book.Record(t, w.held)
	watching := tallyReplies(w.link, watches)
	w.waiting = locktest.StartLock(t.Context(), w.waiter, "k")
	awaitWaiters(t, w.holder, "k", 1)
	locktest.Eventually(t, locktest.Soon, "the waiter watches", func() bool { return watching.Load() > 0 })
	return w
}

// expectHandOff unlocks, and wants the waiter to have the lock within some time.
func (w *queueWorld) expectHandOff(t *testing.T, within time.Duration) {
	t.Helper()
	locktest.Unlock(t, w.held)
	w.expectGrant(t, within)
}

func (w *queueWorld) expectGrant(t *testing.T, within time.Duration) {
	t.Helper()
	began := time.Now()
	next := locktest.ExpectLock(t, w.waiting, within)
	t.Logf("handed off after %v", time.Since(began).Round(time.Microsecond))
	w.book.Record(t, next)
	locktest.Unlock(t, next)
	expectNothingLeft(t, w.admin, w.ns)
}

// tallyReplies counts the answers to matching requests that come from now on.
func tallyReplies(p *proxy.Proxy, match func(request []byte) bool) *atomic.Int64 {
	n := new(atomic.Int64)
	p.LoseReplyIf(func(_ int, r proxy.Reply) bool {
		if r.Request != nil && match(r.Request) {
			n.Add(1)
		}
		return false
	})
	return n
}

// TestLostEvent: a waiter that is not told of its turn finds out by itself, by the
// look that it takes once in a third of its TTL.
func TestLostEvent(t *testing.T) {
	t.Parallel()
	const ttl = 6 * time.Second
	w := queue(t, servers.Shared(t, servers.Etcd), ttl)
	swallowed := w.link.SwallowPush(claimEvents, 1)
	w.expectHandOff(t, ttl/3+locktest.Slack)
	locktest.Await(t, locktest.Soon, "the event is swallowed", swallowed.Fired())
}

// TestWaiterIsConnectedAgain: the connection breaks while it waits, and it is told
// of its turn by the next one: with a TTL of an hour, it does not look by itself.
func TestWaiterIsConnectedAgain(t *testing.T) {
	t.Parallel()
	w := queue(t, servers.Shared(t, servers.Etcd), time.Hour)
	watching := tallyReplies(w.link, watches)
	w.link.Reset()
	locktest.Eventually(t, locktest.Soon, "it watches again", func() bool { return watching.Load() > 0 })
	w.expectHandOff(t, locktest.Soon)
}

// TestTurnWhileDisconnected: the turn comes while the waiter has no connection. It
// learns of it when it has one.
func TestTurnWhileDisconnected(t *testing.T) {
	t.Parallel()
	w := queue(t, servers.Shared(t, servers.Etcd), time.Hour)
	w.link.Refuse()
	w.link.Reset()
	locktest.Unlock(t, w.held)
	w.link.Admit()
	w.expectGrant(t, 2*locktest.Soon)
}

// TestCompaction: what the server still has of its history does not matter to those
// who wait, nor to a watch that is made again when its position in the history is gone.
func TestCompaction(t *testing.T) {
	t.Parallel()
	s := servers.Start(t, servers.Etcd)
	compact := func(w *queueWorld) {
		t.Helper()
		for range 3 {
			if _, err := w.admin.Put(t.Context(), "something else", ""); err != nil {
				t.Fatal(err)
			}
		}
		now, err := w.admin.Get(t.Context(), "something else")
		if err == nil {
			_, err = w.admin.Compact(t.Context(), now.Header.Revision, clientv3.WithCompactPhysical())
		}
		if err != nil {
			t.Fatalf("compacting: %v", err)
		}
	}
	t.Run("connected", func(t *testing.T) {
		w := queue(t, s, time.Hour)
		compact(w)
		w.expectHandOff(t, locktest.Soon)
	})
	t.Run("disconnected", func(t *testing.T) {
		w := queue(t, s, time.Hour)
		w.link.Refuse()
		w.link.Reset()
		compact(w)
		w.link.Admit()
		w.expectHandOff(t, 2*locktest.Soon)
	})
	t.Run("disconnected, and its turn comes", func(t *testing.T) {
		w := queue(t, s, time.Hour)
		w.link.Refuse()
		w.link.Reset()
		locktest.Unlock(t, w.held)
		compact(w)
		w.link.Admit()
		w.expectGrant(t, 2*locktest.Soon)
	})
}

// TestMemberThatServesTheWatchDies: the waiter watches at another.
func TestMemberThatServesTheWatchDies(t *testing.T) {
	t.Parallel()
	c, ns := servers.StartCluster(t, servers.Etcd, 3), locktest.Namespace()
	addrs := strings.Join(c.Addrs(), ",")
	l := connect(t, c.Addrs(), ns)
	holder, waiter := open(t, addrs, ns, time.Minute), open(t, l.addrs(), ns, time.Hour)
	held := locktest.Lock(t, holder, "k")
	var watching []*atomic.Int64
	l.each(func(p *proxy.Proxy) { watching = append(watching, tallyReplies(p, watches)) })
	waiting := locktest.StartLock(t.Context(), waiter, "k")
	serves := -1
	find := func() bool {
		for i, n := range watching {
			if n.Load() > 0 && i != serves {
				serves = i
				return true
			}
		}
		return false
	}
	locktest.Eventually(t, locktest.Soon, "a member serves the watch", find)
	c.Members()[serves].Kill(t)
	locktest.Eventually(t, locktest.Electing, "another member serves the watch", find)
	locktest.Unlock(t, held)
	locktest.Unlock(t, locktest.ExpectLock(t, waiting, locktest.Electing))
}
