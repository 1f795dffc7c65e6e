package redlock_test

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
)

// tallies count the requests of one kind on each way.
func tallies(l links, match func([]byte) bool) (list []*atomic.Int64) {
	for _, p := range l {
		list = append(list, locktest.Tally(p, match))
	}
	return list
}

func sum(list []*atomic.Int64) (n int64) {
	for _, x := range list {
		n += x.Load()
	}
	return n
}

// TestRequests: a lock and unlock is one request to each node to take the lock, and one to end it.
// (Where the lock is unlocked again before a node was asked, it is not asked at all.) The counters are equal nearly always, so that there is nothing to write back. Without tokens
// there never is.
func TestRequests(t *testing.T) {
	t.Parallel()
	for _, query := range [][]string{nil, {"token", "false"}} {
		t.Run(fmt.Sprint(query), func(t *testing.T) {
			t.Parallel()
			w := sharedEnv(t, 3, query...)
			c := w.proxied(t, longTTL)
			lock := func(key string) {
				t.Helper()
				l := locktest.Lock(t, c, key)
				if (l.Token() == 0) != (query != nil) {
					t.Fatalf("token %v", l.Token())
				}
				locktest.Unlock(t, l)
			}
			const locks, nodes = 50, 3
			for i := range 3 {
				lock(fmt.Sprint("warm ", i))
			}
			lock("k") // the first of its shard
			took, wrote, ended := tallies(c.links, takes), tallies(c.links, writesBack), tallies(c.links, ends)
			others := tallies(c.links, func(r []byte) bool { return scripts(r) && !takes(r) && !writesBack(r) && !ends(r) })
			for range locks {
				lock("k")
			}
			locktest.Eventually(t, locktest.Soon, "each is ended where it was taken", func() bool { return sum(ended) >= sum(took) })
			if sum(took) > nodes*locks || sum(took) < (nodes/2+1)*locks || sum(ended) > nodes*locks || sum(others) > 0 {
				t.Errorf("%d locks took %d requests to take, %d to end, and %d others; want %d, %[5]d and none",
					locks, sum(took), sum(ended), sum(others), nodes*locks)
			}
			t.Logf("%d locks took %d requests to take, %d to write back, %d to end", locks, sum(took), sum(wrote), sum(ended))
			if n := sum(wrote); n > locks/5 || n > 0 && query != nil {
				t.Errorf("%d locks took %d requests to write back", locks, n)
			}
		})
	}
}

// TestRenewalIsBatched: many leases are renewed by a few requests to each node.
func TestRenewalIsBatched(t *testing.T) {
	t.Parallel()
	const leases, nodes, batch = 128, 3, 64
	w := sharedEnv(t, nodes)
	c := w.proxied(t, 6*time.Second)
	var held []*fencelock.Lease
	var until []time.Time
	for n := range leases {
		held = append(held, locktest.Lock(t, c, fmt.Sprint(n)))
	}
	for _, l := range held {
		until = append(until, l.ValidUntil())
	}
	sent := tallies(c.links, renews)
	locktest.Eventually(t, 2*locktest.Soon, "every lease is renewed", func() bool {
		return !slices.ContainsFunc(held, func(l *fencelock.Lease) bool { return !l.ValidUntil().After(until[slices.Index(held, l)]) })
	})
	// Those that are due within the same while go together; where the machine was slow to take them,
	// in a few batches more.
	if n := sum(sent); n < nodes*leases/batch || n > 10*nodes {
		t.Errorf("%d requests to %d nodes renewed %d leases", n, nodes, leases)
	}
	for _, l := range held {
		locktest.Unlock(t, l)
	}
}

// TestBlackHoleCostsNothing: a node that swallows everything is found out once. Afterwards it is
// asked now and then whether it is back, however many locks are taken meanwhile, and holds none up.
func TestBlackHoleCostsNothing(t *testing.T) {
	t.Parallel()
	const locks = 200
	for _, n := range []int{3, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			w := sharedEnv(t, n)
			c := w.proxied(t, longTTL)
			run := func() (usual, slowest time.Duration) {
				t.Helper()
				var all []time.Duration
				for i := range locks {
					began := time.Now()
					l := locktest.Lock(t, c, fmt.Sprint(i%10))
					all = append(all, time.Since(began))
					locktest.Unlock(t, l)
				}
				slices.Sort(all)
				return all[locks/2], all[locks-1]
			}
			run()
			healthy, _ := run()
			hole := c.links[0]
			hole.Blackhole()
			_, first := run()
			locktest.Eventually(t, 2*locktest.Soon, "the log says that it is gone", func() bool { return logSays(c, hole, lostLine) })
			sent, before := locktest.Tally(hole, scripts), hole.Counts()
			began := time.Now()
			usual, slowest := run()
			took := time.Since(began)
			t.Logf("usual %v, and %v with a black hole, at most %v in the first %d and %v afterwards", healthy, usual, first, locks, slowest)
			if n := sent.Load(); n > 0 {
				t.Errorf("%d requests to a black hole that is known", n)
			}
			if tried := hole.Counts().Since(before).Accepted; tried > 5+int(took/(100*time.Millisecond)) {
				t.Errorf("%d connections to a black hole in %v", tried, took)
			}
			if usual > 5*healthy+20*time.Millisecond {
				t.Errorf("a lock takes %v with a black hole, and %v without", usual, healthy)
			}
			hole.Heal()
			l := locktest.Lock(t, c, "everywhere", fencelock.WithTTL(shortTTL))
			w.awaitEverywhere(t, shortTTL+2*locktest.Soon, l)
			locktest.Unlock(t, l)
		})
	}
}

// logSays reports whether a line about a node has some words.
func logSays(c *proxiedClient, p *proxy.Proxy, words string) bool {
	return slices.ContainsFunc(lines(c.log.String()), func(line string) bool { return contains(line, p.Addr(), words) })
}
