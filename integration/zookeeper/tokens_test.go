package zookeeper_test

import (
	"errors"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// awaitSwept waits until the server has deleted a lock's node.
func awaitSwept(t *testing.T, server *zk.Conn, parent string) {
	t.Helper()
	// A server deletes one in 6 ms, and has those of other tests, too.
	locktest.Eventually(t, 4*soon, "the server sweeps "+parent, func() bool {
		exists, _, err := server.Exists(parent)
		if err != nil {
			t.Fatalf("Exists: %v", err)
		}
		return !exists
	})
}

// TestTokensOutliveTheNode: the node of a lock that nobody uses is swept, and with it
// the numbers of its claims begin again. Its tokens do not, for the same client and for
// another.
func TestTokensOutliveTheNode(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.ZooKeepers() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Shared(t, kind), locktest.Namespace()
			server := raw(t, s.Addr())
			clients := []*fencelock.Client{open(t, s.Addr(), ns, 10*time.Second), open(t, s.Addr(), ns, 10*time.Second)}
			var book locktest.Ledger
			for _, c := range append(clients, clients...) {
				for range 3 { // so that the number of the last is not that of the next
					l := lock(t, c, "k")
					book.Record(t, l)
					locktest.Unlock(t, l)
				}
				awaitSwept(t, server, parentOf(ns, "k"))
			}
		})
	}
}

// TestTokenAfterExpiry: whose session expired had a lower token than who comes next.
func TestTokenAfterExpiry(t *testing.T) {
	t.Parallel()
	const ttl = time.Second
	s, ns := servers.Shared(t, servers.ZooKeeper), locktest.Namespace()
	p := through(t, s.Addr())
	holder, other := open(t, p.Addr(), ns, ttl), open(t, s.Addr(), ns, 10*time.Second)
	var book locktest.Ledger
	for range 2 {
		// After the way was blocked it may take a new connection, and longer than one request has.
		var held *fencelock.Lease
		locktest.Eventually(t, 2*soon, "the holder is served", func() bool {
			var err error
			held, err = holder.Lock(t.Context(), "k")
			if err != nil && !errors.Is(err, fencelock.ErrUnavailable) {
				t.Fatalf("Lock: %v", err)
			}
			return err == nil
		})
		book.Record(t, held)
		p.Blackhole()
		next := locktest.ExpectLock(t, locktest.StartLock(t.Context(), other, "k"), soon)
		book.Record(t, next) // and the holder is not sure of its lease any more
		if held.Err() == nil {
			t.Error("the holder is not told, and another has the lock")
		}
		p.Heal()
		locktest.Unlock(t, next)
	}
}

// TestLocksLeaveNoNode: whatever ends them: Unlock, a TryLock that loses, a Lock that
// is cancelled, the end of a session.
func TestLocksLeaveNoNode(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.ZooKeeper), locktest.Namespace()
	p := through(t, s.Addr())
	server := raw(t, s.Addr())
	holder, other := open(t, s.Addr(), ns, 10*time.Second), open(t, p.Addr(), ns, time.Second)
	keys := []string{"unlocked", "tried", "cancelled", "expired", "a/b c", ".."}
	for _, key := range keys {
		var held *fencelock.Lease
		if key != "expired" {
			held = lock(t, holder, key)
		}
		switch key {
		case "tried":
			locktest.ExpectHeldByAnother(t, other, key)
		case "cancelled":
			ctx, cancel := contextFor(t, 50*time.Millisecond)
			if _, err := other.Lock(ctx, key); err == nil {
				t.Error("Lock of a lock that is held")
			}
			cancel()
		case "expired":
			held = lock(t, other, key)
			p.Blackhole()
			locktest.ExpectLost(t, held, soon)
			continue
		}
		locktest.Unlock(t, held)
	}
	for _, key := range keys {
		awaitSwept(t, server, parentOf(ns, key))
	}
	p.Heal()
	if left, _, err := server.Children("/" + ns); err != nil || len(left) != 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
