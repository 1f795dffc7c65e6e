// Package locktest is what the tests of all backends do on real servers: open clients, lock
// and unlock, wait for what must happen, and keep a book of who held what.
package locktest

import (
	"crypto/rand"
	"io"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/drivertest"
	"github.com/fencelock/fencelock/internal/busy"
)

// T is what helpers here need: a *testing.T, or a rule of the conformance suite.
type T = drivertest.T

// Soon is longer than anything takes here that nothing delays, on a machine that
// is busy. Where a test tells a delay by it, the delay is several times as long.
const Soon = 5 * time.Second

// Slack is what a bounded delay may take longer on a machine that is busy: more where others
// used its processors when the tests began.
var Slack = 1500 * time.Millisecond * busy.Times()

// Electing is what an election, and the clients' way to the new leader, take at
// most: half a second each for etcd, by the servers' settings, and then again as much.
const Electing = 3 * Soon

// Namespace is one that no other test uses.
func Namespace() string { return "test-" + strings.ToLower(rand.Text()[:12]) }

// Silent is the logger of a client whose losses are part of the test.
var Silent = slog.New(slog.DiscardHandler)

// Open makes a client by a URL, and closes it at the test's end.
func Open(t T, u, ns string, ttl time.Duration) *fencelock.Client {
	t.Helper()
	c, err := fencelock.Open(t.Context(), u, &fencelock.Options{Namespace: ns, TTL: ttl, Logger: Silent})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	closeAtEnd(t, c)
	return c
}

// New makes a client of a backend, and closes it at the test's end.
func New(t T, b driver.Backend, ttl time.Duration) *fencelock.Client {
	t.Helper()
	c, err := fencelock.New(b, &fencelock.Options{TTL: ttl, Logger: Silent})
	if err != nil {
		t.Fatalf("New: %v", err)
	}
	closeAtEnd(t, c)
	return c
}

// Dial opens a backend by a URL, in which there is no password, and closes it at the
// test's end.
func Dial(t T, open fencelock.Opener, u *url.URL) driver.Backend {
	t.Helper()
	b, err := open(t.Context(), u, driver.OpenOptions{Logger: Silent})
	if err != nil {
		t.Fatalf("opening %s at %s: %v", u.Scheme, u.Host, err)
	}
	closeAtEnd(t, b)
	return b
}

func closeAtEnd(t T, c io.Closer) {
	t.Helper()
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

// Within reports whether ok returns true within some time. It may be called from any
// goroutine.
func Within(d time.Duration, ok func() bool) bool {
	deadline := time.Now().Add(d)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		if time.Now().After(deadline) {
			return false
		}
		<-tick.C
	}
	return true
}

// Eventually waits until ok returns true.
func Eventually(t T, within time.Duration, what string, ok func() bool) {
	t.Helper()
	if !Within(within, ok) {
		t.Fatalf("not within %v: %s", within, what)
	}
}

// Await waits for a channel to be closed: a fault that happens, a lease that ends.
func Await(t T, within time.Duration, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(within):
		t.Fatalf("not within %v: %s", within, what)
	}
}
