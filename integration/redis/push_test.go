package redis_test

import (
	"bytes"
	"context"
	"net"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

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
