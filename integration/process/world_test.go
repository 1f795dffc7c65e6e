package process_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// The TTLs of those who die, and of those who live: so long that what these do once in
// a third of it comes too late for any bound here.
const (
	ttl     = 2 * time.Second
	patient = 30 * time.Second
)

// TestProcesses kills and suspends processes, on each backend, two at a time: what is
// measured is time. What goes on at the same time is on other locks, and mostly waits.
func TestProcesses(t *testing.T) {
	t.Parallel()
	for _, members := range []int{1, 3} {
		t.Run(fmt.Sprintf("members=%d", members), func(t *testing.T) {
			t.Parallel()
			for _, g := range targets {
				if g.members == members {
					t.Run(g.name, func(t *testing.T) { onProcesses(t, g.run(t)) })
				}
			}
		})
	}
}

func onProcesses(t *testing.T, c *cluster) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *world){
		"killed holder":                    killedHolder,
		"killed waiter":                    killedWaiter,
		"suspended holder":                 suspendedHolder,
		"suspended in Unlock, told before": suspendedInUnlock(true),
		"suspended in Unlock, told after":  suspendedInUnlock(false),
		"killed and suspended":             killedAndSuspended,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newWorld(t, c))
		})
	}
}

// world is what the processes of one test have in common.
type world struct {
	*cluster
	ns       string
	resource *resource
	watcher  *fencelock.Client // in this process
}

func newWorld(t *testing.T, c *cluster) *world {
	t.Helper()
	w := &world{cluster: c, ns: locktest.Namespace(), resource: startResource(t)}
	w.watcher = locktest.Open(t, c.url(c.addrs, w.ns), "", patient)
	return w
}

func (w *world) env(role string, addrs []string, ttl time.Duration) map[string]string {
	return map[string]string{
		roleVariable: role, urlVariable: w.url(addrs, w.ns),
		ttlVariable: ttl.String(), resourceVariable: w.resource.url,
	}
}

// client starts a process that takes commands, and waits until it is connected.
func (w *world) client(t *testing.T, name string, ttl time.Duration) *child {
	t.Helper()
	return w.clientAt(t, name, ttl, w.addrs)
}

func (w *world) clientAt(t *testing.T, name string, ttl time.Duration, addrs []string) *child {
	t.Helper()
	c := start(t, name, w.env("client", addrs, ttl), nil)
	c.expect(t, "ready", soon)
	return c
}

// awaitWaiters waits until n clients stand in the queue.
func (w *world) awaitWaiters(t *testing.T, n int) {
	t.Helper()
	locktest.Eventually(t, soon, "they wait", func() bool {
		s, err := w.watcher.Inspect(t.Context(), key)
		if err != nil && !errors.Is(err, fencelock.ErrUnavailable) && !errors.Is(err, context.Canceled) {
			t.Fatalf("Inspect: %v", err)
		}
		return err == nil && s.Waiters == n
	})
}

// expectTakeover waits for the next holder after one that said its last at the given
// time, and checks when it came.
func (w *world) expectTakeover(t *testing.T, next *child, last instant, old word, until instant) word {
	t.Helper()
	most := w.freed(ttl) + slack
	got := next.expect(t, "granted", most+soon)
	t.Logf("%s got the lock after %v of %v at most", next.name, got.At.sub(last).Round(time.Millisecond), most)
	if got.At.sub(last) > most {
		t.Errorf("%s got the lock after %v, want %v at most", next.name, got.At.sub(last), most)
	}
	if early := until.sub(got.At); early > 0 {
		t.Errorf("%s got the lock %v before the lease of the one before had ended", next.name, early)
	}
	if got.Token <= old.Token {
		t.Errorf("%s has token %v, and the one before had %v", next.name, got.Token, old.Token)
	}
	return got
}
