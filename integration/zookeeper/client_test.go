package zookeeper_test

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestUnlockWithoutAnswer: Unlock succeeds although the answer to its request was
// lost, with waiters and without, and the next gets the lock.
func TestUnlockWithoutAnswer(t *testing.T) {
	t.Parallel()
	for _, waits := range []bool{false, true} {
		s, ns := servers.Shared(t, servers.ZooKeeper), locktest.Namespace()
		p := through(t, s.Addr())
		c, other := open(t, p.Addr(), ns, 5*time.Second), open(t, s.Addr(), ns, 5*time.Second)
		l := lock(t, c, "k")
		next := make(chan *fencelock.Lease, 1)
		if waits {
			first := lock(t, other, "q")
			second := make(chan *fencelock.Lease, 1)
			go func() { second <- lockOrNil(t, c, "q") }()
			awaitWaiters(t, other, "q", 1)
			third := open(t, s.Addr(), ns, 5*time.Second)
			go func() { next <- lockOrNil(t, third, "q") }()
			awaitWaiters(t, other, "q", 2)
			if err := first.Unlock(t.Context()); err != nil {
				t.Fatalf("Unlock: %v", err)
			}
			l = <-second
		}
		lost := p.LoseReplyTo(func(request []byte) bool {
			return proxy.ZKOpOf(request) == "multi" && proxy.ZKPath(request) != "/"+ns // not a barrier
		}, 1)
		if err := l.Unlock(t.Context()); err != nil {
			t.Errorf("Unlock whose answer was lost: %v", err)
		}
		select {
		case <-lost.Fired():
		default:
			t.Errorf("no answer was lost: nothing is tested (waiters: %v)", waits)
		}
		if waits {
			l = <-next
		} else {
			l = lock(t, other, "k")
		}
		if err := l.Unlock(t.Context()); err != nil {
			t.Errorf("Unlock of the next: %v", err)
		}
	}
}

func lockOrNil(t *testing.T, c *fencelock.Client, key string) *fencelock.Lease {
	l, err := c.Lock(t.Context(), key)
	if err != nil {
		t.Errorf("Lock: %v", err)
	}
	return l
}

// TestRestartKeepsLeases: a server that is killed and comes back keeps leases, and
// places in the queue.
func TestRestartKeepsLeases(t *testing.T) {
	t.Parallel()
	s, ns := servers.Start(t, servers.ZooKeeper), locktest.Namespace()
	holder, waiter := open(t, s.Addr(), ns, 20*time.Second), open(t, s.Addr(), ns, 20*time.Second)
	l := lock(t, holder, "k")
	next := make(chan *fencelock.Lease, 1)
	go func() { next <- lockOrNil(t, waiter, "k") }()
	awaitWaiters(t, holder, "k", 1)
	s.Kill(t)
	s.Restart(t)
	locktest.Eventually(t, soon, "the lease is renewed", func() bool { return l.Ensure(t.Context(), 15*time.Second) == nil })
	if st, err := holder.Inspect(t.Context(), "k"); err != nil || st.Waiters != 1 || !st.Held() || st.Holders[0].Token != l.Token() {
		t.Errorf("Inspect = %+v, %v after a restart", st, err)
	}
	if err := l.Unlock(t.Context()); err != nil {
		t.Errorf("Unlock: %v", err)
	}
	n := <-next
	if n == nil || n.Token() <= l.Token() {
		t.Fatalf("the waiter has %v after %v", n, l.Token())
	}
	if err := n.Unlock(t.Context()); err != nil {
		t.Errorf("Unlock: %v", err)
	}
}
