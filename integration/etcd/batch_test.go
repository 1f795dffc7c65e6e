package etcd_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestCrowd has many callers of one client lock at once, so that their transactions
// go together, with others that give up, and a server that refuses what is large: all
// get their locks, tokens rise, and nothing is left.
func TestCrowd(t *testing.T) {
	for name, opts := range map[string][]servers.Option{
		"as usual":                nil,
		"few operations together": {servers.Args("--max-txn-ops=6")},
	} {
		t.Run(name, func(t *testing.T) {
			s := servers.Start(t, servers.Etcd, opts...)
			ns := locktest.Namespace()
			b := dial(t, s.Addr(), ns)
			var crowd sync.WaitGroup
			for i := range 150 {
				key := fmt.Sprintf("key %d", i%120) // some meet
				crowd.Go(func() {
					var last driver.Grant
					for n := range 8 {
						ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
						if n%4 == 3 { // gives up
							cancel()
							ctx, cancel = context.WithTimeout(t.Context(), time.Duration(i%7)*time.Millisecond)
						}
						req := driver.Request{Key: key, AttemptID: fmt.Sprintf("%d-%d", i, n), TTL: 15 * time.Second, Wait: true}
						g, err := b.Acquire(ctx, req)
						switch {
						case err != nil && n%4 != 3:
							t.Errorf("%s: %v", key, err)
						case err == nil && g.Token <= last.Token:
							t.Errorf("%s: token %v after %v", key, g.Token, last.Token)
						case err == nil:
							last = g
						}
						cancel()
						_ = b.Release(t.Context(), driver.Grant{Key: key, AttemptID: req.AttemptID})
					}
				})
			}
			crowd.Wait()
			expectNothingLeft(t, raw(t, s.Addr()), ns)
		})
	}
}

// TestFewOperationsTogether: a server that takes few operations in a transaction renews the leases
// of a client that has many.
func TestFewOperationsTogether(t *testing.T) {
	t.Parallel()
	const ttl = 6 * time.Second
	s, ns := servers.Start(t, servers.Etcd, servers.Args("--max-txn-ops=6")), locktest.Namespace()
	c := open(t, s.Addr(), ns, ttl)
	var held []*fencelock.Lease
	for n := range 40 {
		held = append(held, locktest.Lock(t, c, fmt.Sprint(n)))
	}
	now := time.Now()
	for _, l := range held {
		locktest.AwaitRenewal(t, l, ttl, now)
	}
	for _, l := range held {
		locktest.Unlock(t, l)
	}
}

// TestCrowdLosesAReply cuts the connection under a crowd again and again: whoever got
// no answer asks again, and nobody gets a lock that another has.
func TestCrowdLosesReplies(t *testing.T) {
	s := servers.Start(t, servers.Etcd)
	ns := locktest.Namespace()
	p := through(t, s.Addr())
	c := open(t, p.Addr(), ns, 15*time.Second)
	for n := 1; n <= 5; n++ {
		p.LoseReplyTo(proxy.Method("/etcdserverpb.KV/Txn"), 20*n)
	}
	var crowd sync.WaitGroup
	for i := range 100 {
		crowd.Go(func() {
			for range 5 {
				l, err := c.Lock(t.Context(), fmt.Sprint(i%90))
				if err != nil {
					t.Errorf("Lock: %v", err)
					return
				}
				_ = l.Unlock(t.Context()) // may not be told how it ended
			}
		})
	}
	crowd.Wait()
	expectNothingLeft(t, raw(t, s.Addr()), ns)
}
