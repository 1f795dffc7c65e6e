package redis_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/fencing"
	"github.com/fencelock/fencelock/integration/internal/proxy"
)

// soon is longer than anything takes here that nothing delays, on a machine that
// is busy. Where a test tells a delay by it, the delay is several times as long.
const soon = 5 * time.Second

// slack is what a bounded delay may take longer on a machine that is busy.
const slack = 1500 * time.Millisecond

var silent = slog.New(slog.DiscardHandler)

// open makes a client for the server, or the proxy, at addr.
func open(t *testing.T, addr, ns string, ttl time.Duration) *fencelock.Client {
	t.Helper()
	c, err := fencelock.Open(t.Context(), "redis://"+addr, &fencelock.Options{Namespace: ns, TTL: ttl, Logger: silent})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return c
}

// lock takes a lock that is free, or will be soon.
func lock(t *testing.T, l fencelock.Locker, key string, opts ...fencelock.LockOption) *fencelock.Lease {
	t.Helper()
	return expectLock(t, startLock(t.Context(), l, key, opts...), soon)
}

func unlock(t *testing.T, l *fencelock.Lease) {
	t.Helper()
	if err := l.Unlock(t.Context()); err != nil {
		t.Fatalf("Unlock: %v", err)
	}
}

// attempt is what became of a call of Lock.
type attempt struct {
	lease *fencelock.Lease
	err   error
	at    time.Time // when it returned
}

// startLock calls Lock in a goroutine of its own.
func startLock(ctx context.Context, l fencelock.Locker, key string, opts ...fencelock.LockOption) <-chan attempt {
	out := make(chan attempt, 1)
	go func() {
		lease, err := l.Lock(ctx, key, opts...)
		out <- attempt{lease, err, time.Now()}
	}()
	return out
}

// outcome waits for a Lock that is under way.
func outcome(t *testing.T, a <-chan attempt, within time.Duration) attempt {
	t.Helper()
	select {
	case got := <-a:
		return got
	case <-time.After(within):
		t.Fatalf("Lock did not return within %v", within)
		return attempt{}
	}
}

// expectLock wants it to succeed.
func expectLock(t *testing.T, a <-chan attempt, within time.Duration) *fencelock.Lease {
	t.Helper()
	got := outcome(t, a, within)
	if got.err != nil {
		t.Fatalf("Lock: %v", got.err)
	}
	return got.lease
}

// await waits for a channel to be closed: a fault that happens, a lease that ends.
func await(t *testing.T, what string, within time.Duration, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(within):
		t.Fatalf("not within %v: %s", within, what)
	}
}

// awaitWaiters waits until n clients stand in the server's queue for key.
func awaitWaiters(t *testing.T, c *fencelock.Client, key string, n int) {
	t.Helper()
	eventually(t, soon, fmt.Sprintf("%d wait", n), func() bool {
		s, err := c.Inspect(t.Context(), key)
		if err != nil && !errors.Is(err, fencelock.ErrUnavailable) { // as after a restart
			t.Fatalf("Inspect: %v", err)
		}
		return err == nil && s.Waiters == n
	})
}

// expectLost waits for a lease to end, and wants it to be by loss.
func expectLost(t *testing.T, l *fencelock.Lease, within time.Duration) {
	t.Helper()
	await(t, "the lease is lost", within, l.Done())
	if err := l.Err(); !errors.Is(err, fencelock.ErrLost) {
		t.Fatalf("Err = %v, want ErrLost", err)
	}
}

// tally counts the requests that pass a proxy from now on and match. (Counts has
// all, those that keep the subscription alive among them.)
func tally(p *proxy.Proxy, match func(request []byte) bool) *atomic.Int64 {
	n := new(atomic.Int64)
	p.LoseRequest(func(request []byte) bool {
		if match(request) {
			n.Add(1)
		}
		return false
	}, 1)
	return n
}

// scripts matches the requests that run a script: all that is done about locks.
func scripts(request []byte) bool {
	args := proxy.Args(request)
	return len(args) > 0 && strings.HasPrefix(strings.ToLower(args[0]), "eval")
}

// left lists the keys of a namespace that should not be there when nothing is
// held: all but the counters of tokens, and the tombstones of owners that were
// released, which end by themselves.
func left(t *testing.T, c *goredis.Client, ns string) (names []string) {
	t.Helper()
	for _, name := range namesIn(t, c, ns) {
		if !strings.HasSuffix(name, "}:t") && !strings.HasSuffix(name, ":x") {
			names = append(names, name)
		}
	}
	return names
}

func namesIn(t *testing.T, c *goredis.Client, ns string) []string {
	t.Helper()
	names, err := c.Keys(t.Context(), ns+":*").Result()
	if err != nil {
		t.Fatalf("KEYS: %v", err)
	}
	return names
}

// expectNothingLeft waits for what is cleaned up in the background. It is for
// locks with a TTL well above soon, so that it is not their expiry that cleans up.
func expectNothingLeft(t *testing.T, c *goredis.Client, ns string) {
	t.Helper()
	var names []string
	deadline := time.Now().Add(soon)
	for {
		if names = left(t, c, ns); len(names) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("left behind: %q", names)
		}
		time.Sleep(5 * time.Millisecond)
	}
	for _, name := range namesIn(t, c, ns) {
		if life := c.PTTL(t.Context(), name).Val(); strings.HasSuffix(name, ":x") && (life < 0 || life > time.Minute) {
			t.Errorf("the tombstone %q lives for %v", name, life)
		}
	}
}

// ledger wants the tokens of each key to rise strictly, in the order of the calls,
// and stands for a store that checks them.
type ledger struct {
	store fencing.Gate
	last  map[string]fencing.Token
}

func (b *ledger) enter(t *testing.T, l *fencelock.Lease) {
	t.Helper()
	if b.last == nil {
		b.last = make(map[string]fencing.Token)
	}
	if before := b.last[l.Key()]; l.Token() <= before {
		t.Errorf("the token of %q is %v, and was %v before", l.Key(), l.Token(), before)
	}
	b.last[l.Key()] = l.Token()
	if err := b.store.Admit(l.Key(), l.Token()); err != nil {
		t.Errorf("the store refuses its holder: %v", err)
	}
}
