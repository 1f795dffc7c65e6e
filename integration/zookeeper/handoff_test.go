package zookeeper_test

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestHandOffDoesNotGrow: waiters list the queue when they come. A release and the
// grant that follows it then cost one request, however many wait.
func TestHandOffDoesNotGrow(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.ZooKeeper), locktest.Namespace()
	holder := dial(t, s.Addr(), ns)
	p := through(t, s.Addr())
	b := dial(t, p.Addr(), ns)
	g, err := holder.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "holder", TTL: 30 * time.Second, Wait: true})
	if err != nil {
		t.Fatalf("Acquire: %v", err)
	}

	const waiters = 60
	grants := make(chan driver.Grant, waiters)
	var all sync.WaitGroup
	for i := range waiters {
		all.Go(func() {
			g, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "w" + strconv.Itoa(i), TTL: 30 * time.Second, Wait: true})
			if err != nil {
				t.Errorf("Acquire: %v", err)
				return
			}
			grants <- g
		})
	}
	locktest.Eventually(t, soon, "all wait", func() bool {
		st, err := holder.Inspect(t.Context(), "k")
		return err == nil && st.Waiters == waiters
	})
	release(t, holder, g)
	g = <-grants
	before := p.Counts()
	for range waiters - 1 {
		release(t, b, g)
		g = <-grants
	}
	release(t, b, g)
	after := p.Counts()
	all.Wait()
	perHandOff := float64(after.Requests-before.Requests) / waiters
	t.Logf("%.1f requests for each hand-off", perHandOff)
	if perHandOff > 1.5 { // and now and then a ping, or a barrier
		t.Errorf("%.1f requests for each hand-off, want the release", perHandOff)
	}
}

func release(t *testing.T, b driver.Backend, g driver.Grant) {
	t.Helper()
	if err := b.Release(t.Context(), g); err != nil {
		t.Errorf("Release: %v", err)
	}
}

// TestHandOffCostsTheSame: a hand-off is one transaction, and its requests and bytes do
// not grow with the number of those who wait.
func TestHandOffCostsTheSame(t *testing.T) {
	t.Parallel()
	s := servers.Start(t, servers.ZooKeeper)
	for _, n := range []int{2, 32, 200} {
		cost := drain(t, s, n)
		t.Logf("%3d waiters: %.2f transactions, %.1f requests, %.0f bytes for each hand-off", n, cost.transactions, cost.requests, cost.bytes)
		if cost.transactions != 1 {
			t.Errorf("%d waiters: %.2f transactions for each hand-off, want 1", n, cost.transactions)
		}
		// To release; to look at the queue, and at the own node. The first few list it,
		// and there are as many whatever n is.
		if cost.requests > 5 || cost.bytes > 2000 {
			t.Errorf("%d waiters: %.1f requests and %.0f bytes for each hand-off, want 5 and 2000 at most", n, cost.requests, cost.bytes)
		}
	}
}

// handOffs is what one costs.
type handOffs struct{ transactions, requests, bytes float64 }

// drain has n waiters of four clients, in turns, take a lock one after the other.
func drain(t *testing.T, s *servers.Server, n int) handOffs {
	t.Helper()
	const ttl = 50 * time.Second // the next barrier of keepAlive is far away
	p, ns := through(t, s.Addr()), locktest.Namespace()
	look := dial(t, s.Addr(), ns) // not through the proxy
	settle(t, s, ns, "k")
	var clients [4]driver.Backend
	for i := range clients {
		clients[i] = dial(t, p.Addr(), ns)
		g, err := clients[i].Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "first", TTL: ttl})
		if err != nil {
			t.Fatalf("Acquire: %v", err)
		}
		release(t, clients[i], g)
	}
	if _, err := look.Inspect(t.Context(), "k"); err != nil {
		t.Fatal(err)
	}
	grants := make(chan driver.Grant, n+1)
	var all sync.WaitGroup
	for i := range n + 1 { // the first is the holder
		all.Go(func() {
			g, err := clients[i%len(clients)].Acquire(t.Context(), driver.Request{
				Key: "k", AttemptID: fmt.Sprintf("%d-of-%d", i, n), TTL: ttl, Wait: true, Lost: func(error) {},
			})
			if err != nil {
				t.Errorf("Acquire: %v", err)
				return
			}
			grants <- g
		})
		locktest.Eventually(t, soon, "it stands in the queue", func() bool {
			st, err := look.Inspect(t.Context(), "k")
			return err == nil && st.Held() && st.Waiters == i
		})
	}
	sent := tally(p)
	quiet := sent.Load()
	locktest.Eventually(t, soon, "all watch", func() bool {
		<-time.After(100 * time.Millisecond)
		was := quiet
		quiet = sent.Load()
		return quiet == was
	})
	holder := func(g driver.Grant) driver.Backend {
		var i int
		if _, err := fmt.Sscanf(g.AttemptID, "%d-of-", &i); err != nil {
			t.Fatal(err)
		}
		return clients[i%len(clients)]
	}
	// Each hand-off is looked at by itself until the next has the lock.
	before, bytes := zxid(t, s), p.Counts()
	last := driver.Grant{}
	for range n {
		g := <-grants
		if g.Token <= last.Token {
			t.Errorf("token %v after %v", g.Token, last.Token)
		}
		last = g
		release(t, holder(g), g)
	}
	last = <-grants
	cost := handOffs{float64(zxid(t, s) - before), float64(sent.Load()), 0}
	moved := p.Counts().Since(bytes)
	cost.bytes = float64(moved.ToServer + moved.ToClient)
	release(t, holder(last), last)
	all.Wait()
	f := float64(n)
	return handOffs{cost.transactions / f, cost.requests / f, cost.bytes / f}
}
