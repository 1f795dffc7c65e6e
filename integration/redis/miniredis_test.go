package redis_test

import (
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/alicebob/miniredis/v2/server"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/proxy"
)

// startMini starts a miniredis. Keys expire there when FastForward is called.
func startMini(t *testing.T) *miniredis.Miniredis {
	t.Helper()
	var m *miniredis.Miniredis
	locktest.Unlabelled(func() { m = miniredis.RunT(t) })
	return m
}

// keepTime has time pass for a miniredis as it does for us: before each script, so that none sees a
// lease end early, as scripts that come just before and after a tick of a clock would.
func keepTime(m *miniredis.Miniredis) {
	var mu sync.Mutex
	last := time.Now()
	m.Server().SetPreHook(func(_ *server.Peer, cmd string, _ ...string) bool {
		if strings.HasPrefix(strings.ToUpper(cmd), "EVAL") { // others come from inside a script, too
			mu.Lock()
			defer mu.Unlock()
			now := time.Now()
			m.FastForward(now.Sub(last))
			last = now
		}
		return false
	})
}

// TestConformanceOfMiniredis runs the suite on miniredis, a library that many have for
// unit tests, with its time kept. What it cannot do is what it keeps nothing for: a restart.
func TestConformanceOfMiniredis(t *testing.T) {
	m, ns := startMini(t), locktest.Namespace()
	keepTime(m)
	var links sync.Map // driver.Backend to *proxy.Proxy
	drivertest.Run(t, drivertest.Harness{
		Want: want(ns),
		TTL:  2 * time.Second, // it runs in this process, with the race detector, and one request at a time
		New: func(t drivertest.T) driver.Backend {
			p := through(t, m.Addr())
			b := dial(t, p.Addr(), ns)
			links.Store(b, p)
			return b
		},
		DestroyGrant: func(t drivertest.T, key string) {
			if err := raw(t, m.Addr()).Del(t.Context(), lockKeys(ns, key)...).Err(); err != nil {
				t.Fatalf("DEL: %v", err)
			}
		},
		Partition: func(t drivertest.T, b driver.Backend) func() {
			p, _ := links.Load(b)
			p.(*proxy.Proxy).Blackhole()
			return p.(*proxy.Proxy).Heal
		},
		Open:    redis.Open,
		URL:     "redis://" + m.Addr() + "?namespace=" + ns,
		BadURLs: badURLs,
		Away:    map[string]string{"redis://127.0.0.1:1": "connection refused"},
		Lacks:   map[string]string{"KillSession": "Redis has no sessions", "Failover": "miniredis keeps nothing"},
	})
}

// TestMiniredisWithoutTime is how most tests use it: nobody keeps its time. What does not
// need a lease to end works.
func TestMiniredisWithoutTime(t *testing.T) {
	t.Parallel()
	m, ns := startMini(t), locktest.Namespace()
	c, other := open(t, m.Addr(), ns, time.Minute), open(t, m.Addr(), ns, time.Minute)
	if w := c.Info().Warnings; len(w) != 1 || !strings.Contains(w[0], "miniredis") {
		t.Errorf("warnings %q; want one about miniredis", w)
	}
	held := locktest.Lock(t, c, "k")
	locktest.ExpectHeldByAnother(t, other, "k")
	waiting := locktest.StartLock(t.Context(), other, "k")
	awaitWaiters(t, c, "k", 1)
	locktest.Unlock(t, held)
	next := locktest.ExpectLock(t, waiting, locktest.Soon)
	if next.Token() <= held.Token() {
		t.Errorf("token %v after %v", next.Token(), held.Token())
	}
	if _, err := c.Evict(t.Context(), "k", ""); err != nil {
		t.Errorf("Evict: %v", err)
	}
	locktest.ExpectLost(t, next, locktest.Soon)

	// A holder that died: its lease ends when the test says so.
	b := dial(t, m.Addr(), ns)
	if _, err := b.Acquire(t.Context(), driver.Request{Key: "dead", AttemptID: "dead", TTL: time.Second}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond)
	locktest.ExpectHeldByAnother(t, c, "dead")
	m.FastForward(1100 * time.Millisecond)
	l, err := c.TryLock(t.Context(), "dead")
	if err != nil {
		t.Fatalf("TryLock: %v", err)
	}
	locktest.Unlock(t, l)
}

// TestMiniredisIsNotDurable: it is refused where durability is asked for.
func TestMiniredisIsNotDurable(t *testing.T) {
	t.Parallel()
	m := startMini(t)
	u := url.URL{Scheme: "redis", Host: m.Addr()}
	expectDurable(t, u.String(), locktest.Namespace(), "miniredis keeps nothing")
	m.RequireAuth("s3cret")
	if _, err := fencelock.Open(t.Context(), u.String(), nil); err == nil || !strings.Contains(err.Error(), "NOAUTH") {
		t.Errorf("without its password: %v, want NOAUTH", err)
	}
	u.User = url.UserPassword("", "s3cret")
	c, err := fencelock.Open(t.Context(), u.String(), &fencelock.Options{Logger: locktest.Silent})
	if err != nil {
		t.Fatalf("with its password: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}
