package etcd_test

import (
	"context"
	"errors"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// epochWrites is how often the epoch keys of a namespace were written to.
func epochWrites(t *testing.T, admin *clientv3.Client, ns string) (writes int64) {
	t.Helper()
	for _, n := range keysBelow(t, admin, ns+"/leases/") {
		writes += n
	}
	return writes
}

// TestLateClaim: a request that makes a claim arrives when its caller has gone, and
// been cleaned up after. It makes nothing: neither a grant nor a position in the queue.
func TestLateClaim(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		held bool // the lock, by another
		call func(fencelock.Locker, context.Context, string, ...fencelock.LockOption) (*fencelock.Lease, error)
	}{
		{"try", false, fencelock.Locker.TryLock},
		{"lock", false, fencelock.Locker.Lock},
		{"lock that would wait", true, fencelock.Locker.Lock},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Shared(t, servers.Etcd), locktest.Namespace()
			p, admin := through(t, s.Addr()), raw(t, s.Addr())
			late := open(t, p.Addr(), ns, time.Minute)
			warm(t, late)
			other := open(t, s.Addr(), ns, time.Minute)
			warm(t, other)
			var held *fencelock.Lease
			if tc.held {
				held = locktest.Lock(t, other, "k")
			}
			written := epochWrites(t, admin, ns)

			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			packet := p.HoldRequest(claims, 1)
			done := make(chan error, 1)
			go func() {
				_, err := tc.call(late, ctx, "k")
				done <- err
			}()
			locktest.Await(t, locktest.Soon, "the request is held back", packet.Fired())
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Fatalf("the caller got %v, want context.Canceled", err)
			}
			packet.CutClient()
			locktest.Eventually(t, locktest.Soon, "the epoch key is written", func() bool { return epochWrites(t, admin, ns) > written })
			before := revision(t, admin)
			locktest.Deliver(t, p, packet, proxy.Held.ReleaseAlone)
			if made := claimsMade(t, admin, ns, before); len(made) > 0 {
				t.Errorf("the late request has made %v", made)
			}
			if s, err := other.Inspect(t.Context(), "k"); err != nil || s.Held() != tc.held || s.Waiters != 0 {
				t.Errorf("Inspect = %+v, %v; want nothing of the late request", s, err)
			}
			if tc.held {
				locktest.Unlock(t, held)
			}
			expectNothingLeft(t, admin, ns)
			for _, c := range []*fencelock.Client{other, late} {
				locktest.Unlock(t, locktest.Lock(t, c, "k"))
			}
		})
	}
}

// TestLateCopyOfClaim: the first copy of a request arrives when the second, sent
// because the first was not answered, has been granted and unlocked.
func TestLateCopyOfClaim(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.Etcd), locktest.Namespace()
	p, admin := through(t, s.Addr()), raw(t, s.Addr())
	c := open(t, p.Addr(), ns, time.Minute)
	warm(t, c)
	packet := p.HoldRequest(claims, 1)
	locking := locktest.StartLock(t.Context(), c, "k")
	locktest.Await(t, locktest.Soon, "the first copy is held back", packet.Fired())
	packet.CutClient()
	locktest.Unlock(t, locktest.ExpectLock(t, locking, locktest.Soon))
	locktest.Deliver(t, p, packet, proxy.Held.ReleaseAlone)
	if s, err := c.Inspect(t.Context(), "k"); err != nil || s.Held() || s.Waiters != 0 {
		t.Errorf("Inspect = %+v, %v; want the lock free", s, err)
	}
	expectNothingLeft(t, admin, ns)
}

// TestLateRelease: a copy of a request to release arrives when the same client has
// the lock again, under the same name. It takes nothing from it.
func TestLateRelease(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(*testing.T, *proxy.Proxy, *fencelock.Client) proxy.Held{
		"of Unlock":                       lateUnlock,
		"of an attempt that was given up": lateAbandon,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Shared(t, servers.Etcd), locktest.Namespace()
			p, admin := through(t, s.Addr()), raw(t, s.Addr())
			c := open(t, p.Addr(), ns, time.Minute)
			warm(t, c)
			before := revision(t, admin)
			packet := begin(t, p, c)
			held := locktest.Lock(t, c, "k")
			if made := claimsMade(t, admin, ns, before); len(made) != 1 {
				t.Errorf("the claims had the names %v, and the test is about one that is used twice", made)
			}
			locktest.Deliver(t, p, packet, proxy.Held.ReleaseAlone)
			if s, err := c.Inspect(t.Context(), "k"); err != nil || !s.Held() || s.Holders[0].Token != held.Token() {
				t.Errorf("Inspect = %+v, %v; want token %v", s, err, held.Token())
			}
			if err := held.Ensure(t.Context(), 50*time.Second); err != nil {
				t.Errorf("the lease: %v", err)
			}
			locktest.Unlock(t, held)
			expectNothingLeft(t, admin, ns)
		})
	}
}

// lateUnlock holds the release of a lease back until a second copy has freed it.
func lateUnlock(t *testing.T, p *proxy.Proxy, c *fencelock.Client) proxy.Held {
	t.Helper()
	held := locktest.Lock(t, c, "k")
	packet := p.HoldRequest(releases, 1)
	unlocked := make(chan error, 1)
	go func() { unlocked <- held.Unlock(t.Context()) }()
	locktest.Await(t, locktest.Soon, "the release is held back", packet.Fired())
	packet.CutClient()
	if err := <-unlocked; err != nil {
		t.Errorf("Unlock: %v", err)
	}
	return packet
}

// lateAbandon holds back the release of an attempt of which it is not known whether
// it got the lock, until a second copy has freed it.
func lateAbandon(t *testing.T, p *proxy.Proxy, c *fencelock.Client) proxy.Held {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	answer := p.HoldReplyTo(claims, 1)
	packet := p.HoldRequest(releases, 1)
	locking := locktest.StartLock(ctx, c, "k")
	locktest.Await(t, locktest.Soon, "the answer is held back", answer.Fired())
	cancel()
	if a := locktest.Outcome(t, locking, locktest.Soon); !errors.Is(a.Err, context.Canceled) {
		t.Errorf("Lock = %v, %v; want context.Canceled", a.Lease, a.Err)
	}
	locktest.Await(t, locktest.Soon, "the release is held back", packet.Fired())
	packet.CutClient()
	answer.Release()
	locktest.Eventually(t, locktest.Soon, "the lock is free", func() bool {
		s, err := c.Inspect(t.Context(), "k")
		return err == nil && !s.Held()
	})
	return packet
}
