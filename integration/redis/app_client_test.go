package redis_test

import (
	"context"
	"errors"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestOwnClientOnAHungServer: an application's client waits for a server for as long as
// its options say, with the usual ones for minutes. A lock does not, and Close waits for
// nothing.
func TestOwnClientOnAHungServer(t *testing.T) {
	t.Parallel()
	for name, made := range map[string]func(t *testing.T, addr, ns string) driver.Backend{
		"a client": func(t *testing.T, addr, ns string) driver.Backend {
			return backendOf(t, raw(t, addr), ns)
		},
		"a URL": func(t *testing.T, addr, ns string) driver.Backend { return dial(t, addr, ns) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := through(t, servers.Shared(t, servers.Redis).Addr())
			b := made(t, p.Addr(), locktest.Namespace())
			c := locktest.New(t, b, 15*time.Second)
			warm(t, c)
			p.Blackhole()
			t.Cleanup(p.Heal)
			began := time.Now()
			_, err := c.TryLock(context.Background(), "k")
			if !errors.Is(err, fencelock.ErrUnavailable) {
				t.Errorf("TryLock = %v, want ErrUnavailable", err)
			}
			// A request has 3 s, and the second, which finds no connection, as much.
			if took := time.Since(began); took > 6*time.Second+locktest.Slack {
				t.Errorf("TryLock took %v", took)
			}
			ended := make(chan error)
			for range 20 { // some wait for an answer, some for a connection
				go func() {
					_, err := b.Acquire(context.Background(), driver.Request{Key: "k", AttemptID: "me", TTL: time.Minute})
					ended <- err
				}()
			}
			time.Sleep(100 * time.Millisecond)
			began = time.Now()
			_ = b.Close()
			for range 20 {
				if err := <-ended; err == nil {
					t.Error("Acquire was granted by a server that hangs")
				}
			}
			if took := time.Since(began); took > locktest.Slack {
				t.Errorf("Close took %v", took)
			}
		})
	}
}

// TestClosedForGood: to ask a backend that is closed again does not help, and its errors
// do not claim it.
func TestClosedForGood(t *testing.T) {
	t.Parallel()
	b := dial(t, servers.Shared(t, servers.Redis).Addr(), locktest.Namespace())
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := b.Acquire(t.Context(), driver.Request{Key: "k", AttemptID: "me", TTL: time.Minute, Wait: true})
	if err == nil || errors.Is(err, driver.ErrUnavailable) {
		t.Errorf("Acquire on a closed backend = %v, want an error that is for good", err)
	}
}

// TestOwnClientWithoutConnectionsLeft: what the application does with its pool costs no
// lease.
func TestOwnClientWithoutConnectionsLeft(t *testing.T) {
	t.Parallel()
	const ttl = 1500 * time.Millisecond
	s, ns := servers.Shared(t, servers.Redis), locktest.Namespace()
	app := goredis.NewClient(&goredis.Options{Addr: s.Addr(), PoolSize: 2})
	t.Cleanup(func() { _ = app.Close() })
	c := newExisting(t, app, ns, ttl)
	lease := locktest.Lock(t, c, "k")
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	for range 2 {
		go app.BLPop(ctx, time.Minute, ns+":nothing")
	}
	locktest.Eventually(t, locktest.Soon, "the pool is used up", func() bool { return app.PoolStats().IdleConns == 0 && app.PoolStats().TotalConns == 2 })
	used := time.Now()
	locktest.AwaitRenewal(t, lease, ttl, used.Add(2*ttl))
	locktest.Unlock(t, locktest.Lock(t, c, "another"))
	locktest.Unlock(t, lease)
}

// TestOwnClientClosed: the application closes its client before it has done with locks.
func TestOwnClientClosed(t *testing.T) {
	t.Parallel()
	const ttl = 1500 * time.Millisecond
	app := goredis.NewClient(&goredis.Options{Addr: servers.Shared(t, servers.Redis).Addr()})
	c := newExisting(t, app, locktest.Namespace(), ttl)
	lease := locktest.Lock(t, c, "k")
	if err := app.Close(); err != nil {
		t.Fatal(err)
	}
	locktest.AwaitRenewal(t, lease, ttl, time.Now().Add(ttl))
	locktest.Unlock(t, locktest.Lock(t, c, "another"))
	locktest.Unlock(t, lease)
}

// TestCallersDelayNoRenewal: requests of callers hang, as many as may be
// under way. A lease is renewed all the same.
func TestCallersDelayNoRenewal(t *testing.T) {
	t.Parallel()
	const ttl = 1500 * time.Millisecond
	p := through(t, servers.Shared(t, servers.Redis).Addr())
	c := open(t, p.Addr(), locktest.Namespace(), time.Minute)
	lease := locktest.Lock(t, c, "k", fencelock.WithTTL(ttl))
	began := time.Now()
	var hung []proxy.Held
	for range 1000 { // they ask again
		hung = append(hung, p.HoldRequest(acquires("try"), 1))
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	const callers = 12 // eight requests of a client are under way at the most; the others wait
	for range callers {
		go func() {
			_, err := c.TryLock(ctx, "another")
			ended <- err
		}()
	}
	locktest.Await(t, locktest.Soon, "two requests hang", hung[1].Fired())
	locktest.AwaitRenewal(t, lease, ttl, began.Add(2*ttl))
	cancel()
	for range callers {
		if err := <-ended; err == nil {
			t.Error("TryLock succeeded, though its request was held back: the test has tested nothing")
		}
	}
	for _, h := range hung {
		h.Cancel()
	}
	p.Reset()
	locktest.Unlock(t, lease)
}

// TestConnectingOutlastsARequest: with a round trip of 0.4 s, a connection cannot be made
// and a lock taken in the second that a request has.
func TestConnectingOutlastsARequest(t *testing.T) {
	t.Parallel()
	p := through(t, servers.Shared(t, servers.Redis).Addr())
	p.Delay(proxy.Both, 200*time.Millisecond)
	c := open(t, p.Addr(), locktest.Namespace(), 3*time.Second)
	held := make(chan locktest.Attempt)
	for _, key := range []string{"a", "b", "c"} {
		go func() {
			lease, err := c.Lock(t.Context(), key)
			held <- locktest.Attempt{Lease: lease, Err: err}
		}()
	}
	for range 3 {
		if a := locktest.Outcome(t, held, 3*locktest.Soon); a.Err != nil {
			t.Errorf("Lock: %v", a.Err)
		}
	}
	p.Delay(proxy.Both, 0)
}
