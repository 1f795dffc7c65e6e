package redis_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestLateAcquire: a request to acquire that arrives when its caller has gone, and
// been cleaned up after, neither gets the lock nor a position in the queue.
func TestLateAcquire(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		held  bool // the lock, by another
		match func([]byte) bool
		call  func(fencelock.Locker, context.Context, string, ...fencelock.LockOption) (*fencelock.Lease, error)
	}{
		{"try", false, acquires("try"), fencelock.Locker.TryLock},
		{"lock", false, acquires("wait"), fencelock.Locker.Lock},
		{"lock that would wait", true, acquires("wait"), fencelock.Locker.Lock},
		{"confirmation of a position", true, acquires("again"), fencelock.Locker.Lock},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Shared(t, servers.Redis), locktest.Namespace()
			p := through(t, s.Addr())
			admin := raw(t, s.Addr())
			other, late := open(t, s.Addr(), ns, time.Minute), open(t, p.Addr(), ns, time.Minute)
			var held *fencelock.Lease
			if tc.held {
				held = locktest.Lock(t, other, "k")
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			packet := p.HoldRequest(tc.match, 1)
			done := make(chan error, 1)
			go func() {
				_, err := tc.call(late, ctx, "k", fencelock.WithTTL(3*time.Second))
				done <- err
			}()
			locktest.Await(t, locktest.Soon, "the request is held back", packet.Fired())
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Fatalf("the caller got %v, want context.Canceled", err)
			}
			locktest.Eventually(t, locktest.Soon, "there is a tombstone", func() bool {
				return tombstones(t, admin, ns) > 0
			})
			locktest.Deliver(t, p, packet, proxy.Held.Release)
			if s, err := other.Inspect(t.Context(), "k"); err != nil || s.Held() != tc.held || s.Waiters != 0 {
				t.Errorf("Inspect = %+v, %v; want nothing of the late request", s, err)
			}
			if tc.held {
				locktest.Unlock(t, held)
			}
			expectNothingLeft(t, admin, ns)
			locktest.Unlock(t, locktest.Lock(t, other, "k"))
		})
	}
}

// TestLateCopyOfAcquire: the first copy of a request arrives when the second, sent
// because the first was not answered, has been granted and unlocked. An application's
// client that sends commands again by itself makes no difference.
func TestLateCopyOfAcquire(t *testing.T) {
	t.Parallel()
	t.Run("from a client", func(t *testing.T) {
		t.Parallel()
		s, ns := servers.Shared(t, servers.Redis), locktest.Namespace()
		p := through(t, s.Addr())
		conf := goredis.Options{Addr: p.Addr(), MaxRetries: 3, ReadTimeout: 300 * time.Millisecond}
		expectLateCopyToFail(t, s, p, openExisting(t, &conf, ns, 1500*time.Millisecond), ns)
	})
	t.Run("from a URL", func(t *testing.T) {
		t.Parallel()
		s, ns := servers.Shared(t, servers.Redis), locktest.Namespace()
		p := through(t, s.Addr())
		expectLateCopyToFail(t, s, p, open(t, p.Addr(), ns, 1500*time.Millisecond), ns)
	})
}

func expectLateCopyToFail(t *testing.T, s *servers.Server, p *proxy.Proxy, c *fencelock.Client, ns string) {
	t.Helper()
	first := p.HoldRequest(acquires("wait"), 1)
	l := locktest.Lock(t, c, "k")
	locktest.Await(t, locktest.Soon, "the first copy is held back", first.Fired())
	locktest.Unlock(t, l)
	locktest.Deliver(t, p, first, proxy.Held.Release)
	if s, err := c.Inspect(t.Context(), "k"); err != nil || s.Held() || s.Waiters != 0 {
		t.Errorf("Inspect = %+v, %v; want the lock free", s, err)
	}
	if names := left(t, raw(t, s.Addr()), ns); len(names) > 0 {
		t.Errorf("left behind: %q", names)
	}
}

// openExisting makes a client of a go-redis client, as an application has one.
func openExisting(t *testing.T, conf *goredis.Options, ns string, ttl time.Duration) *fencelock.Client {
	t.Helper()
	app := goredis.NewClient(conf)
	t.Cleanup(func() { _ = app.Close() })
	return newExisting(t, app, ns, ttl)
}

func newExisting(t *testing.T, app *goredis.Client, ns string, ttl time.Duration) *fencelock.Client {
	t.Helper()
	return locktest.New(t, backendOf(t, app, ns), ttl)
}

func backendOf(t *testing.T, app *goredis.Client, ns string) driver.Backend {
	t.Helper()
	b, err := redis.New(t.Context(), app, &redis.Options{Namespace: ns})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	return b
}

// TestLateRelease: a copy of Unlock's request that arrives when another has the
// lock takes nothing from it.
func TestLateRelease(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.Redis), locktest.Namespace()
	p := through(t, s.Addr())
	late, other := open(t, p.Addr(), ns, time.Second), open(t, s.Addr(), ns, time.Minute)
	l := locktest.Lock(t, late, "k")
	packet := p.HoldRequest(releases, 1)
	locktest.Unlock(t, l) // by a second copy
	locktest.Await(t, locktest.Soon, "the first copy is held back", packet.Fired())
	held := locktest.Lock(t, other, "k")
	locktest.Deliver(t, p, packet, proxy.Held.Release)
	if err := held.Ensure(t.Context(), 50*time.Second); err != nil {
		t.Errorf("the lease of the other: %v", err)
	}
	locktest.Unlock(t, held)
	expectNothingLeft(t, raw(t, s.Addr()), ns)
}

// TestLateRenewal: one that arrives after Unlock brings nothing back.
func TestLateRenewal(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.Redis), locktest.Namespace()
	p := through(t, s.Addr())
	late := open(t, p.Addr(), ns, 2*time.Second)
	l := locktest.Lock(t, late, "k")
	packet := p.HoldRequest(renews, 1)
	locktest.Await(t, locktest.Soon, "a renewal is held back", packet.Fired())
	locktest.Unlock(t, l)
	if err := late.Close(); err != nil { // gives it up
		t.Errorf("Close: %v", err)
	}
	locktest.Deliver(t, p, packet, proxy.Held.Release)
	if names := left(t, raw(t, s.Addr()), ns); len(names) > 0 {
		t.Errorf("left behind: %q", names)
	}
}

// TestLatePush: a push that is older than what the waiter has learned since gives
// it nothing. The waiter was granted the lock, and did not hear of it; an operator
// evicted it; another has the lock; it asked, and waits again; and now the push
// comes.
func TestLatePush(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Shared(t, kind), locktest.Namespace()
			first, third := open(t, s.Addr(), ns, time.Minute), open(t, s.Addr(), ns, time.Minute)
			gate := newGate()
			deaf := openExisting(t, &goredis.Options{Addr: s.Addr(), MaxRetries: -1, Dialer: gate.dial}, ns, 3*time.Second)
			t.Cleanup(gate.lift)

			held := locktest.Lock(t, first, "k")
			second := locktest.StartLock(t.Context(), deaf, "k")
			awaitWaiters(t, first, "k", 1)
			last := locktest.StartLock(t.Context(), third, "k")
			awaitWaiters(t, first, "k", 2)

			locktest.Unlock(t, held) // the second is granted the lock
			locktest.Await(t, locktest.Soon, "the push is held back", gate.caught)
			if _, err := first.Evict(t.Context(), "k", ""); err != nil {
				t.Fatalf("Evict: %v", err)
			}
			now := locktest.ExpectLock(t, last, locktest.Soon)
			awaitWaiters(t, first, "k", 1) // the second has asked again
			gate.lift()
			select {
			case got := <-second:
				if got.Err != nil {
					t.Fatalf("Lock: %v", got.Err)
				}
				t.Fatalf("the push of an old grant made a holder, of token %v, while %v is held", got.Lease.Token(), now.Token())
			case <-time.After(300 * time.Millisecond):
			}
			locktest.Unlock(t, now)
			l := locktest.ExpectLock(t, second, locktest.Soon)
			if l.Token() <= now.Token() {
				t.Errorf("token %v was granted after %v", l.Token(), now.Token())
			}
			locktest.Unlock(t, l)
			expectNothingLeft(t, raw(t, s.Addr()), ns)
		})
	}
}

// gate holds back what the server tells a client on its subscription, from the
// first grant on. Everything else passes.
type gate struct {
	caught chan struct{} // closed when a grant is held back
	lifted chan struct{}
	once   sync.Once
	lift   func()
}

func newGate() *gate {
	g := &gate{caught: make(chan struct{}), lifted: make(chan struct{})}
	g.lift = sync.OnceFunc(func() { close(g.lifted) })
	return g
}

func (g *gate) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &gatedConn{conn, g}, nil
}

type gatedConn struct {
	net.Conn
	gate *gate
}

func (c *gatedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if bytes.Contains(p[:n], []byte("granted ")) {
		c.gate.once.Do(func() { close(c.gate.caught) })
		<-c.gate.lifted
	}
	return n, err
}
