package raftlocal_test

import (
	"testing"
	"time"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
	"github.com/fencelock/fencelock/internal/busy"
)

// TestFarAway: members are a long way off, so that to connect, with the hello, takes longer than a
// third of the TTL, which one request has. That has a time of its own: locks are taken, kept and handed
// off, and a connection that breaks is made again.
func TestFarAway(t *testing.T) {
	t.Parallel()
	times := busy.Times()
	ttl, way := 2*time.Second*times, 100*time.Millisecond*times // there, and the same back
	c, ns := servers.StartCluster(t, servers.Raft, 1), locktest.Namespace()
	l := connect(t, c)
	l.each(func(p *proxy.Proxy) { p.Delay(proxy.Both, way) })
	holder, waiter := open(t, l.addrs(), ns, ttl), open(t, l.addrs(), ns, ttl)
	var book locktest.Ledger
	held := locktest.Lock(t, holder, "k")
	book.Record(t, held)
	next := locktest.StartLock(t.Context(), waiter, "k")
	locktest.AwaitWaiters(t, locktest.Electing, holder, "k", 1)
	for range 3 {
		locktest.AwaitRenewal(t, held, ttl, time.Now())
	}
	l.each((*proxy.Proxy).Reset)
	locktest.AwaitRenewal(t, held, ttl, time.Now())
	locktest.Unlock(t, held)
	taken := locktest.ExpectLock(t, next, locktest.Electing)
	book.Record(t, taken)
	locktest.Unlock(t, taken)
}
