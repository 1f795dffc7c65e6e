package etcd_test

import (
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/etcd"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
	"github.com/fencelock/fencelock/internal/busy"
)

// TestServerAwayForLongerThanTheTTL: the holder is told at its deadline, and its
// client goes on when the server is back. One that waits for less than the server
// was away is told why it got no lock; another gets it.
func TestServerAwayForLongerThanTheTTL(t *testing.T) {
	t.Parallel()
	const ttl = time.Second
	s, ns := servers.Start(t, servers.Etcd), locktest.Namespace()
	holder, impatient, patient := open(t, s.Addr(), ns, ttl), open(t, s.Addr(), ns, ttl), open(t, s.Addr(), ns, time.Minute)
	var book locktest.Ledger
	held := locktest.Lock(t, holder, "k")
	book.Record(t, held)
	soonTired := locktest.StartLock(t.Context(), impatient, "k")
	awaitWaiters(t, holder, "k", 1)
	untiring := locktest.StartLock(t.Context(), patient, "k")
	awaitWaiters(t, holder, "k", 2)

	s.Kill(t)
	locktest.ExpectLost(t, held, ttl+locktest.Slack)
	if a := locktest.Outcome(t, soonTired, locktest.Soon); !errors.Is(a.Err, fencelock.ErrUnavailable) || a.Lease != nil {
		t.Errorf("Lock = %v, %v; want ErrUnavailable", a.Lease, a.Err)
	}
	s.Restart(t)
	l := locktest.ExpectLock(t, untiring, 4*locktest.Soon)
	book.Record(t, l)
	locktest.Unlock(t, l)
	book.TakeTurns(t, 2*locktest.Soon, "k", holder, impatient, patient)
	expectNothingLeft(t, raw(t, s.Addr()), ns)
}

// TestFarAway: a server is a long way off, so that to connect takes longer than a request has. That
// has a time of its own: locks are taken, kept and handed off, and a connection that breaks is made
// again.
func TestFarAway(t *testing.T) {
	t.Parallel()
	times := busy.Times()
	ttl, way := 3*time.Second*times, 100*time.Millisecond*times // there, and the same back
	s, ns := servers.Shared(t, servers.Etcd), locktest.Namespace()
	p := through(t, s.Addr())
	p.Delay(proxy.Both, way)
	holder, waiter := open(t, p.Addr(), ns, ttl), open(t, p.Addr(), ns, ttl)
	var book locktest.Ledger
	held := locktest.Lock(t, holder, "k")
	book.Record(t, held)
	next := locktest.StartLock(t.Context(), waiter, "k")
	awaitWaiters(t, holder, "k", 1)
	for range 3 {
		locktest.AwaitRenewal(t, held, ttl, time.Now())
	}
	p.Reset()
	locktest.AwaitRenewal(t, held, ttl, time.Now())
	locktest.Unlock(t, held)
	taken := locktest.ExpectLock(t, next, locktest.Electing)
	book.Record(t, taken)
	locktest.Unlock(t, taken)
}

// TestCloseBesideASilentServer: it does not wait for what does not answer.
func TestCloseBesideASilentServer(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.Etcd), locktest.Namespace()
	p := through(t, s.Addr())
	b, err := etcd.Open(t.Context(), &url.URL{Scheme: "etcd", Host: p.Addr(), Path: "/" + ns}, driver.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	idle, err := b.Acquire(t.Context(), driver.Request{Key: "idle", AttemptID: "idle", TTL: time.Minute})
	if err == nil {
		err = b.Release(t.Context(), idle) // its session has no claim, and is to be ended
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Acquire(t.Context(), driver.Request{Key: "held", AttemptID: "held", TTL: 10 * time.Second}); err != nil {
		t.Fatal(err)
	}
	p.Blackhole()
	waiting := make(chan error, 1)
	go func() {
		_, err := b.Acquire(t.Context(), driver.Request{Key: "held", AttemptID: "another", TTL: 10 * time.Second, Wait: true})
		waiting <- err
	}()
	<-time.After(100 * time.Millisecond)
	began := time.Now()
	if err := b.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if took := time.Since(began); took > time.Second+locktest.Slack {
		t.Errorf("Close took %v", took)
	}
	select {
	case err := <-waiting:
		if err == nil || errors.Is(err, driver.ErrHeld) {
			t.Errorf("a call under way ended with %v", err)
		}
	case <-time.After(locktest.Soon):
		t.Error("a call under way goes on")
	}
}
