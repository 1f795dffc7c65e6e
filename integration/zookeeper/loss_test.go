package zookeeper_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestHolderIsToldAtOnce: with a TTL of 50 s, its next renewal is 16 s away.
func TestHolderIsToldAtOnce(t *testing.T) {
	t.Parallel()
	type world struct {
		server *zk.Conn
		link   *link
		other  *fencelock.Client
		ns     string
	}
	for name, test := range map[string]struct {
		end  func(*testing.T, world)
		also bool // another lease of the client is lost too
	}{
		"session killed": {func(t *testing.T, w world) { killSessions(t, w.link) }, true},
		"evicted": {func(t *testing.T, w world) {
			if _, err := w.other.Evict(t.Context(), "k", ""); err != nil {
				t.Fatalf("Evict: %v", err)
			}
		}, false},
		"node deleted": {func(t *testing.T, w world) {
			if err := w.server.Delete(claims(t, w.server, parentOf(w.ns, "k"))[0], -1); err != nil {
				t.Fatalf("deleting: %v", err)
			}
		}, false},
	} {
		for _, kind := range servers.ZooKeepers() {
			t.Run(kind.String()+"/"+name, func(t *testing.T) {
				t.Parallel()
				const ttl, atOnce = 50 * time.Second, 5 * time.Second
				s, ns := servers.Shared(t, kind), locktest.Namespace()
				w := world{raw(t, s.Addr()), linkTo(t, s.Addr()), open(t, s.Addr(), ns, ttl), ns}
				c := open(t, w.link.proxy.Addr(), ns, ttl)
				watched := watchBelow(w.link.proxy, parentOf(ns, "k"))
				var book locktest.Ledger
				held, second := lock(t, c, "k"), lock(t, c, "another")
				book.Record(t, held)
				locktest.Await(t, soon, "its loss is watched for", watched)
				test.end(t, w)
				locktest.ExpectLost(t, held, atOnce)
				if err := held.Unlock(t.Context()); !errors.Is(err, fencelock.ErrLost) {
					t.Errorf("Unlock = %v, want ErrLost", err)
				}
				if test.also {
					locktest.ExpectLost(t, second, atOnce)
				} else {
					locktest.Unlock(t, second)
				}
				book.TakeTurns(t, soon, "k", w.other, c)
			})
		}
	}
}

// watchBelow returns a channel that is closed when a client is told that a node below
// the parent is watched.
func watchBelow(p *proxy.Proxy, parent string) <-chan struct{} {
	set := make(chan struct{})
	var once sync.Once
	p.LoseReplyIf(func(_ int, r proxy.Reply) bool {
		asked := r.Request
		if proxy.ZKOpOf(asked) == "getData" && strings.HasPrefix(proxy.ZKPath(asked), parent+"/") && asked[len(asked)-1] == 1 {
			once.Do(func() { close(set) })
		}
		return false
	})
	return set
}

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
	locktest.Eventually(t, soon, "the client locks", func() bool { // a third of its TTL may be too short on a busy machine
		_, err := b.Acquire(t.Context(), req)
		req.Retry = err != nil
		return err == nil
	})
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

// TestWaitersNodeDeleted: somebody deletes the node of one who waits. It is not
// granted the lock by that position any more, beside the one behind it.
func TestWaitersNodeDeleted(t *testing.T) {
	t.Parallel()
	const ttl = 20 * time.Second
	s, ns := servers.Shared(t, servers.ZooKeeper), locktest.Namespace()
	server := raw(t, s.Addr())
	holder := open(t, s.Addr(), ns, ttl)
	held := lock(t, holder, "k")
	var book locktest.Ledger
	book.Record(t, held)
	granted := make(chan *fencelock.Lease, 2)
	for i := range 2 {
		c := open(t, s.Addr(), ns, ttl)
		go func() {
			l, err := c.Lock(t.Context(), "k")
			if err != nil {
				t.Errorf("waiter %d: %v", i, err)
				return
			}
			book.Record(t, l)
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
