package zookeeper_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestLossWhileDisconnected: a grant whose node is deleted while its holder has no
// connection is never renewed after that, however the reconnect goes: go-zookeeper sets
// its watches again at some moment of its own, perhaps after the renewal was answered.
func TestLossWhileDisconnected(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.ZooKeeper), locktest.Namespace()
	p := through(t, s.Addr())
	b := dial(t, p.Addr(), ns)
	server := raw(t, s.Addr())
	lost := make(chan error, 4)
	g, err := b.Acquire(t.Context(), driver.Request{
		Key: "k", AttemptID: "holder", TTL: 20 * time.Second, Lost: func(why error) { lost <- why },
	})
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	if out := b.Renew(t.Context(), []driver.Grant{g}); out[0].Err != nil { // sets the watch
		t.Fatalf("Renew: %v", out[0].Err)
	}
	reset := p.HoldRequest(proxy.ZKOp("setWatches"), 1) // for as long as it can be
	p.Refuse()
	p.Reset()
	if err := server.Delete(claims(t, server, parentOf(ns, "k"))[0], -1); err != nil {
		t.Fatal(err)
	}
	p.Admit()
	var answer error
	locktest.Eventually(t, soon, "a renewal is answered", func() bool {
		answer = b.Renew(t.Context(), []driver.Grant{g})[0].Err
		return !errors.Is(answer, driver.ErrUnavailable)
	})
	if !errors.Is(answer, driver.ErrNotHeld) {
		t.Errorf("Renew of a grant that was deleted while its holder had no connection = %v, want ErrNotHeld", answer)
	}
	reset.Release()
	select {
	case why := <-lost:
		t.Logf("lost: %v", why)
	case <-time.After(soon):
		t.Errorf("Request.Lost was not called")
	}
}

// TestExpiredSessionIsReplaced: a client whose session the server let expire goes on
// with another.
func TestExpiredSessionIsReplaced(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.ZooKeeper), locktest.Namespace()
	p := through(t, s.Addr())
	b, other := dial(t, p.Addr(), ns), dial(t, s.Addr(), ns)
	req := driver.Request{Key: "k", AttemptID: "holder", TTL: time.Second}
	if _, err := b.Acquire(t.Context(), req); err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	p.Blackhole()
	next, err := other.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "next", TTL: 20 * time.Second, Wait: true})
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	p.Heal()
	release(t, other, next)
	locktest.Eventually(t, soon, "the client locks again", func() bool {
		g, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "again", TTL: time.Second, Wait: true, Retry: true})
		return err == nil && g.Token > next.Token && b.Release(t.Context(), g) == nil
	})
}

// TestWatchesAreShared: waiters that come and go before one holder leave nothing
// behind on the server but one watch.
func TestWatchesAreShared(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.ZooKeeper), locktest.Namespace()
	p := through(t, s.Addr())
	b := dial(t, p.Addr(), ns)
	g, err := dial(t, s.Addr(), ns).Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "holder", TTL: 30 * time.Second})
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}
	watches, node := 0, claims(t, raw(t, s.Addr()), parentOf(ns, "k"))[0]
	counted := p.LoseReplyTo(func(request []byte) bool {
		if proxy.ZKOpOf(request) == "getData" && proxy.ZKPath(request) == node && request[len(request)-1] == 1 {
			watches++ // guarded by the proxy
		}
		return false
	}, 1)
	for _, id := range []string{"a", "b", "c", "d", "e"} {
		ctx, cancel := contextFor(t, 100*time.Millisecond)
		_, err := b.Acquire(ctx, driver.Request{Key: "k", AttemptID: id, TTL: 30 * time.Second, Wait: true})
		cancel()
		if err == nil {
			t.Fatalf("a waiter was granted the lock of %v", g.AttemptID)
		}
		if err := b.Release(t.Context(), driver.Grant{Key: "k", AttemptID: id}); !errors.Is(err, driver.ErrNotHeld) {
			t.Errorf("Release of a waiter = %v, want ErrNotHeld", err)
		}
	}
	counted.Cancel()
	if watches != 1 {
		t.Errorf("%d watches were set for five waiters, one after the other; want 1", watches)
	}
}
