package raftlocal_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestRestartOfAllMembers: power fails everywhere at once, and comes back. That is an outage
// and nothing else.
func TestRestartOfAllMembers(t *testing.T) {
	t.Parallel()
	for name, members := range map[string]int{"one member": 1, "three members": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const ttl = 20 * time.Second
			c, ns := servers.StartCluster(t, servers.Raft, members), locktest.Namespace()
			holder := open(t, c.Addrs(), ns, ttl)
			locktest.LosePower(t, c, holder, locktest.Lock(t, holder, "k"), ttl, func() *fencelock.Client { return open(t, c.Addrs(), ns, ttl) })
			expectNothingLeft(t, member(c.Addrs(), ns))
		})
	}
}

// TestRollingRestart: each member is stopped, as a deployment does, and started again, while
// locks are held, and others taken and freed all the time. None is lost, and nobody has to wait
// as long as for an election.
func TestRollingRestart(t *testing.T) {
	t.Parallel()
	const ttl = 10 * time.Second
	c, ns := servers.StartCluster(t, servers.Raft, 3), locktest.Namespace()
	holder := open(t, c.Addrs(), ns, ttl)
	var held []*fencelock.Lease
	for n := range 20 {
		held = append(held, locktest.Lock(t, holder, fmt.Sprint("held ", n)))
	}
	p := startPulse(t, c.Addrs(), ns, 8)
	for n := range 2 {
		for _, m := range c.Members() {
			leads := c.Leads(m)
			began := time.Now()
			m.Stop(t)
			stopped := time.Since(began)
			m.Restart(t)
			gap := p.longest(t, began)
			t.Logf("round %d: leader %v, stopped in %v; the longest time without a grant was %v", n, leads, stopped.Round(time.Millisecond), gap.Round(time.Millisecond))
		}
	}
	p.stop(t)
	for _, l := range held {
		if err := l.Err(); err != nil {
			t.Errorf("%s is lost: %v", l.Key(), err)
			continue
		}
		locktest.Unlock(t, l)
	}
	expectNothingLeft(t, member(c.Addrs(), ns))
}

// pulse takes and frees locks all the time, and notes when one is granted.
type pulse struct {
	working sync.WaitGroup
	quit    chan struct{}
	end     func()

	mu     sync.Mutex
	grants []time.Time
	book   locktest.Ledger
}

// startPulse has so many callers, of two clients. All of them contend for one lock and have one of
// their own.
func startPulse(t *testing.T, addrs []string, ns string, callers int) *pulse {
	t.Helper()
	return startPulseOf(t, callers, open(t, addrs, ns, 30*time.Second), open(t, addrs, ns, 30*time.Second))
}

func startPulseOf(t *testing.T, callers int, clients ...*fencelock.Client) *pulse {
	t.Helper()
	p := &pulse{quit: make(chan struct{})}
	p.end = sync.OnceFunc(func() { close(p.quit); p.working.Wait() })
	t.Cleanup(p.end)
	for n := range callers {
		p.working.Go(func() { p.beat(t, clients[n%len(clients)], n) })
	}
	p.await(t, time.Now())
	return p
}

func (p *pulse) beat(t *testing.T, c *fencelock.Client, n int) {
	for i := 0; ; i++ {
		select {
		case <-p.quit:
			return
		default:
		}
		key := fmt.Sprint("own ", n)
		if i%2 == 0 {
			key = "contended"
		}
		l, err := c.Lock(t.Context(), key)
		if err == nil {
			p.mu.Lock()
			p.grants = append(p.grants, time.Now())
			p.mu.Unlock()
			p.book.Record(t, l)
			err = l.Unlock(t.Context())
		}
		if err != nil {
			t.Errorf("caller %d: %s: %v", n, key, err)
			return
		}
	}
}

// await waits for a grant after a moment.
func (p *pulse) await(t *testing.T, after time.Time) {
	t.Helper()
	locktest.Eventually(t, 2*locktest.Electing, "a lock is granted", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return len(p.grants) > 0 && p.grants[len(p.grants)-1].After(after)
	})
}

// longest is the longest time between two grants, the later of them after a moment. It waits for
// one more grant first.
func (p *pulse) longest(t *testing.T, after time.Time) (gap time.Duration) {
	t.Helper()
	p.await(t, time.Now())
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.grants) - 1; i > 0 && p.grants[i].After(after); i-- {
		gap = max(gap, p.grants[i].Sub(p.grants[i-1]))
	}
	return gap
}

func (p *pulse) stop(t *testing.T) {
	t.Helper()
	p.end()
	t.Logf("%d grants", len(p.grants))
}
