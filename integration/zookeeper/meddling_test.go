package zookeeper_test

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestWaitersNodeDeleted: somebody deletes the node of one who waits. It is not
// granted the lock by that place any more, beside the one behind it.
func TestWaitersNodeDeleted(t *testing.T) {
	t.Parallel()
	const ttl = 20 * time.Second
	s, ns := servers.Shared(t, servers.ZooKeeper), locktest.Namespace()
	server := raw(t, s.Addr())
	holder := open(t, s.Addr(), ns, ttl)
	held := lock(t, holder, "k")
	var book locktest.Ledger
	book.Enter(t, held)
	granted := make(chan *fencelock.Lease, 2)
	for i := range 2 {
		c := open(t, s.Addr(), ns, ttl)
		go func() {
			l, err := c.Lock(t.Context(), "k")
			if err != nil {
				t.Errorf("waiter %d: %v", i, err)
				return
			}
			book.Enter(t, l)
			granted <- l
		}()
		awaitWaiters(t, holder, "k", i+1)
	}
	if err := server.Delete(claims(t, server, parentOf(ns, "k"))[1], -1); err != nil {
		t.Fatal(err)
	}
	locktest.Unlock(t, held)
	l := <-granted
	select {
	case second := <-granted:
		t.Errorf("two have the lock: %v and %v", l.Token(), second.Token())
	case <-time.After(time.Second):
	}
	locktest.Unlock(t, l)
	locktest.Unlock(t, <-granted) // it has come again
}
