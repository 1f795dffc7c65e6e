package zookeeper_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/persistent"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestConformanceWithLostReplies runs the suite while each client loses the reply to
// its n-th create, list, look at a node, sync, watch and barrier: it was carried out,
// and nobody is told. The core asks again, as package persistent does here. What the
// core makes of a lost reply to Unlock and Evict, whose outcome cannot be had by asking
// again, is in TestUnlockWithoutAnswer.
func TestConformanceWithLostReplies(t *testing.T) {
	for n, name := range []string{"first", "second", "third"} {
		t.Run(name, func(t *testing.T) {
			s := servers.Start(t, servers.ZooKeeper)
			drivertest.Run(t, harness([]string{s.Addr()}, restart(s), func(t drivertest.T, proxies []*proxy.Proxy, ns string) driver.Backend {
				b, p := &calmReleases{Backend: plain(t, proxies, ns)}, proxies[0]
				p.LoseReplyTo(b.connects, 1)
				for _, lost := range []func([]byte) bool{
					proxy.ZKOp("create"), creates, proxy.ZKOp("getChildren2"), proxy.ZKOp("exists"), proxy.ZKOp("sync"),
					proxy.ZKOp("createContainer"), proxy.ZKOp("getData"), barriers(ns),
				} {
					p.LoseReplyTo(b.outside(lost, n+1), 1)
				}
				return persistent.New(b)
			}))
		})
	}
}

// calmReleases keeps losses and Releases apart. A client that loses the answer to a deletion
// and then finds no node cannot tell whether an eviction came first, and package
// persistent cannot either: that is in TestUnlockWithoutAnswer. And one reply that is lost takes
// the connection with it, and so the answers to all that is under way on it: the watch
// for the loss of a grant is asked for by nobody, 150 ms after the grant.
type calmReleases struct {
	driver.Backend

	mu       sync.Mutex
	releases int           // under way
	loss     chan struct{} // of the reply that was chosen; closed when the client connects again
}

func (c *calmReleases) Release(ctx context.Context, g driver.Grant) error {
	c.mu.Lock()
	c.releases++ // nothing is chosen from now on
	loss := c.loss
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.releases--
	}()
	if loss != nil {
		select {
		case <-loss:
		case <-ctx.Done():
		case <-time.After(time.Second): // the rule has cut the client off, or killed its session
			c.over(loss)
		}
	}
	return c.Backend.Release(ctx, g)
}

// outside matches the n-th request of a kind, or the next one if a Release or another loss
// is under way then.
func (c *calmReleases) outside(kind func([]byte) bool, n int) func([]byte) bool {
	return func(request []byte) bool {
		if !kind(request) {
			return false
		}
		n--
		c.mu.Lock()
		defer c.mu.Unlock()
		if n > 0 || c.releases > 0 || c.loss != nil {
			return false
		}
		c.loss = make(chan struct{})
		return true
	}
}

// connects matches nothing. It takes note of a client that connects again.
func (c *calmReleases) connects(request []byte) bool {
	if proxy.ZKOpOf(request) == "connect" {
		c.mu.Lock()
		loss := c.loss
		c.mu.Unlock()
		c.over(loss)
	}
	return false
}

func (c *calmReleases) over(loss chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if loss != nil && c.loss == loss {
		close(loss)
		c.loss = nil
	}
}

// barriers matches the transactions that only look at the namespace's node.
func barriers(ns string) func(request []byte) bool {
	return func(request []byte) bool {
		return proxy.ZKOpOf(request) == "multi" && proxy.ZKPath(request) == "/"+ns
	}
}

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
			op := proxy.ZKOpOf(request)                                                 // a delete after a hold that was brief
			return (op == "multi" || op == "delete") && proxy.ZKPath(request) != "/"+ns // not a barrier
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
