package zookeeper_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock"
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
				book.Enter(t, held)
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

// TestServerAwayForLongerThanTheTTL: the holder is told at its deadline, and its
// client goes on when the server is back. One that waits for less than the server was
// away gets no lock; another gets it.
func TestServerAwayForLongerThanTheTTL(t *testing.T) {
	t.Parallel()
	const ttl = time.Second
	s, ns := servers.Start(t, servers.ZooKeeper), locktest.Namespace()
	holder, impatient, patient := open(t, s.Addr(), ns, ttl), open(t, s.Addr(), ns, ttl), open(t, s.Addr(), ns, 50*time.Second)
	var book locktest.Ledger
	held := lock(t, holder, "k")
	book.Enter(t, held)
	tires, cancel := contextFor(t, 2*time.Second)
	defer cancel()
	soonTired := locktest.StartLock(tires, impatient, "k")
	awaitWaiters(t, holder, "k", 1)
	untiring := locktest.StartLock(t.Context(), patient, "k")
	awaitWaiters(t, holder, "k", 2)

	s.Kill(t)
	deadline := held.ValidUntil() // no renewal can be under way any more
	locktest.ExpectLost(t, held, ttl+locktest.Slack)
	if late := time.Since(deadline); late < 0 || late > locktest.Slack {
		t.Errorf("the holder is told %v after its deadline", late)
	}
	if a := locktest.Outcome(t, soonTired, 2*time.Second+locktest.Slack); a.Lease != nil || !errors.Is(a.Err, context.DeadlineExceeded) &&
		!errors.Is(a.Err, fencelock.ErrUnavailable) {
		t.Errorf("Lock = %v, %v; want the error of its context, or ErrUnavailable", a.Lease, a.Err)
	}
	s.Restart(t)
	l := locktest.ExpectLock(t, untiring, 2*soon)
	book.Enter(t, l)
	locktest.Unlock(t, l)
	book.TakeTurns(t, 2*soon, "k", holder, impatient, patient)
}
