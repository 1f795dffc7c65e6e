package zookeeper_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// tally counts the requests that pass a proxy from now on, but pings, which a client
// sends when it has nothing else to say, and others that are named.
func tally(p *proxy.Proxy, but ...string) *atomic.Int64 {
	return locktest.Tally(p, func(request []byte) bool {
		op := proxy.ZKOpOf(request)
		return op != "ping" && op != "" && !slices.Contains(but, op)
	})
}

// settle makes the nodes of locks, and has them stay although they are empty: the
// server would sweep them, each by a transaction, and not when we like it. It shows as
// well that what is not of our making is no claim.
func settle(t *testing.T, s *servers.Server, ns string, keys ...string) {
	t.Helper()
	server := raw(t, s.Addr())
	for _, key := range keys {
		for _, path := range []string{parentOf(ns, key), parentOf(ns, key) + "/stays"} {
			if _, err := server.Create(path, nil, zk.FlagPersistent, zk.WorldACL(zk.PermAll)); err != nil {
				t.Fatalf("making %s: %v", path, err)
			}
		}
	}
}

// TestTransactions: to lock and to unlock is one transaction each, and nothing else for
// a lock that is free; what changes nothing is none.
func TestTransactions(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.ZooKeepers() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			const times = 10
			s, ns := servers.Start(t, kind), locktest.Namespace()
			p := through(t, s.Addr())
			c, other := open(t, p.Addr(), ns, 50*time.Second), open(t, s.Addr(), ns, 50*time.Second)
			settle(t, s, ns, "free", "k")
			if _, err := raw(t, s.Addr()).Create(parentOf(ns, "clean"), nil, zk.FlagPersistent, zk.WorldACL(zk.PermAll)); err != nil {
				t.Fatal(err)
			}
			locktest.Unlock(t, lock(t, c, "free")) // opens the session
			held := lock(t, other, "k")
			sent := tally(p)
			expect := func(what string, transactions, requests int64, do func() error) {
				t.Helper()
				before, sentBefore := zxid(t, s), sent.Load()
				for range times {
					if err := do(); err != nil {
						t.Fatalf("%s: %v", what, err)
					}
				}
				if got := zxid(t, s) - before; got != transactions*times {
					t.Errorf("%d × %s: %d transactions, want %d each", times, what, got, transactions)
				}
				if got := sent.Load() - sentBefore; got != requests*times {
					t.Errorf("%d × %s: %d requests, want %d each", times, what, got, requests)
				}
			}
			var l *fencelock.Lease
			expect("Lock and Unlock", 2, 2, func() (err error) {
				if l, err = c.Lock(t.Context(), "clean"); err != nil {
					return err
				}
				return l.Unlock(t.Context())
			})
			expect("Lock and Unlock beside a node that is no claim", 2, 3, func() (err error) {
				if l, err = c.Lock(t.Context(), "free"); err != nil {
					return err
				}
				return l.Unlock(t.Context())
			})
			expect("TryLock and Unlock", 2, 4, func() (err error) {
				if l, err = c.TryLock(t.Context(), "free"); err != nil {
					return err
				}
				return l.Unlock(t.Context())
			})
			expect("TryLock that loses", 0, 3, func() error {
				if _, err := c.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
					return fmt.Errorf("want ErrHeld, got %w", err)
				}
				return nil
			})
			expect("Inspect", 0, 3, func() error { _, err := c.Inspect(t.Context(), "k"); return err })
			expect("Inspect of a free lock", 0, 2, func() error { _, err := c.Inspect(t.Context(), "free"); return err })
			locktest.Unlock(t, held)
		})
	}
}

// TestRenewalIsOneTransaction: however many leases are renewed together, once each is
// watched.
func TestRenewalIsOneTransaction(t *testing.T) {
	t.Parallel()
	const leases, times = 50, 5
	s, ns := servers.Start(t, servers.ZooKeeper), locktest.Namespace()
	p := through(t, s.Addr())
	b := dial(t, p.Addr(), ns)
	var held []driver.Grant
	for n := range leases {
		g, err := b.Acquire(t.Context(), driver.Request{Key: fmt.Sprint(n), AttemptID: "o", TTL: 20 * time.Second})
		if err != nil {
			t.Fatalf("Acquire: %v", err)
		}
		held = append(held, g)
	}
	renew := func() {
		for _, r := range b.Renew(t.Context(), held) {
			if r.Err != nil {
				t.Fatalf("Renew: %v", r.Err)
			}
		}
	}
	renew() // sets the watches
	before, sent := zxid(t, s), tally(p)
	for range times {
		renew()
	}
	if n := zxid(t, s) - before; n != times {
		t.Errorf("%d transactions renewed %d leases %d times", n, leases, times)
	}
	if n := sent.Load(); n != times {
		t.Errorf("%d requests renewed %d leases %d times", n, leases, times)
	}
	for _, g := range held {
		release(t, b, g)
	}
}

// TestWaitingIsCheap: one who waits has its session confirmed once in a quarter of its
// TTL, and asks for nothing else, but for a look every ten seconds; forty who wait cost a client no more than one.
func TestWaitingIsCheap(t *testing.T) {
	t.Parallel()
	const ttl, keys = 4 * time.Second, 40
	s, ns := servers.Start(t, servers.ZooKeeper), locktest.Namespace()
	p := through(t, s.Addr())
	holder, waiter := open(t, s.Addr(), ns, 50*time.Second), open(t, p.Addr(), ns, ttl)
	var held []*fencelock.Lease
	var waiting []<-chan locktest.Attempt
	for n := range keys {
		held = append(held, lock(t, holder, fmt.Sprint(n)))
		waiting = append(waiting, locktest.StartLock(t.Context(), waiter, fmt.Sprint(n)))
		awaitWaiters(t, holder, fmt.Sprint(n), 1)
	}
	sent := tally(p, "exists")
	quiet := sent.Load()
	locktest.Eventually(t, soon, "all watch", func() bool { // nothing more is sent, but for a barrier
		<-time.After(ttl / 16)
		was := quiet
		quiet = sent.Load()
		return quiet-was <= 1
	})
	before, sentBefore, began := zxid(t, s), sent.Load(), time.Now()
	<-time.After(2 * ttl)
	lasted := time.Since(began)
	transactions, requests := zxid(t, s)-before, sent.Load()-sentBefore
	t.Logf("%d transactions and %d requests in %v, for %d who wait", transactions, requests, lasted.Round(time.Millisecond), keys)
	// The holder renews its leases meanwhile, or does not.
	if most := int64(lasted/(ttl/4)) + 1; requests < 1 || requests > most || transactions > most+1 {
		t.Errorf("that is too much: want %d requests at most", most)
	}
	for i, w := range waiting {
		locktest.Unlock(t, held[i])
		locktest.Unlock(t, locktest.ExpectLock(t, w, soon))
	}
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

// zxid is the number of the server's last transaction. With one server nothing else
// counts it on: reads, pings and watches are none.
func zxid(t *testing.T, s *servers.Server) int64 {
	t.Helper()
	for line := range strings.Lines(fourLetters(t, s, "srvr")) {
		if number, ok := strings.CutPrefix(line, "Zxid: "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(number), 0, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatal("the server does not tell its zxid")
	return 0
}

// fourLetters sends one of ZooKeeper's commands for administrators.
func fourLetters(t *testing.T, s *servers.Server, word string) string {
	t.Helper()
	c, err := net.DialTimeout("tcp", s.Addr(), soon)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(soon))
	if _, err := io.WriteString(c, word); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}
