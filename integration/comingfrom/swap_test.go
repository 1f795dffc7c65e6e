package comingfrom_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/etcd"
	_ "github.com/fencelock/fencelock/backend/raftlocal"
	_ "github.com/fencelock/fencelock/backend/redis"
	_ "github.com/fencelock/fencelock/backend/zookeeper"
	"github.com/fencelock/fencelock/fencing"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// tokenOf locks and unlocks a key, and returns the token of that.
func tokenOf(t *testing.T, url, key string) fencing.Token {
	t.Helper()
	c, err := fencelock.Open(t.Context(), url, &fencelock.Options{Logger: locktest.Silent})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer c.Close()
	l, err := c.Lock(t.Context(), key)
	if err != nil {
		t.Fatalf("Lock: %v", err)
	}
	if err := l.Unlock(t.Context()); err != nil {
		t.Errorf("Unlock: %v", err)
	}
	return l.Token()
}

// round is what bases are rounded up to: of Redis's microseconds three years.
const round fencing.Token = 1e14

// A namespace moves from server to server, and a resource compares tokens.
func TestTokenBaseAtEachSwap(t *testing.T) {
	const key = "invoices/42"
	ns := "?namespace=" + locktest.Namespace()
	raft := "raft://" + t.TempDir() + "/locks" + ns // founded before the others grant anything
	tokenOf(t, raft, "founded")
	redis := "redis://" + servers.Shared(t, servers.Redis).Addr() + ns
	etcd := "etcd://" + servers.Shared(t, servers.Etcd).Addr() + ns
	zookeeper := "zookeeper://" + servers.Shared(t, servers.ZooKeeper).Addr() + ns

	var gate fencing.Gate
	if err := gate.Admit(key, tokenOf(t, redis, key)); err != nil {
		t.Fatalf("the first: %v", err)
	}
	for _, step := range []struct{ from, to, url string }{
		{"Redis", "etcd", etcd},
		{"etcd", "ZooKeeper", zookeeper},
		{"ZooKeeper", "etcd", etcd},
		{"etcd", "Redis", redis},
		{"Redis", "built-in Raft", raft},
		{"built-in Raft", "ZooKeeper", zookeeper},
	} {
		seen := gate.Highest(key)
		bare := tokenOf(t, step.url, key)
		if err := gate.Admit(key, bare); !errors.Is(err, fencing.ErrStale) {
			t.Errorf("%s to %s: the token %v without a base: %v after %v, want it refused", step.from, step.to, bare, err, seen)
		}
		base := (seen/round + 1) * round // as the page says: the highest that was seen, rounded up
		based := tokenOf(t, fmt.Sprintf("%s&token_base=%d", step.url, base), key)
		if err := gate.Admit(key, based); err != nil {
			t.Errorf("%s to %s: the token %v with the base %v: %v", step.from, step.to, based, base, err)
		}
		t.Logf("%-13s → %-13s  seen %-16d  without a base %d, refused; token_base=%d: %d, accepted", step.from, step.to, seen, bare, base, based)
	}
	if highest := gate.Highest(key); highest >= 1<<53 {
		t.Errorf("after six swaps the token is %v, which a float64 does not hold", highest)
	}
}

// On real servers, a fleet moves from Redis to etcd: programs that have the old lock, both
// and the new one keep each other out, and the tokens of the new are above.
func TestOpenBoth(t *testing.T) {
	ns := locktest.Namespace()
	was := "redis://" + servers.Shared(t, servers.Redis).Addr() + "?namespace=" + ns
	is := "etcd://" + servers.Shared(t, servers.Etcd).Addr() + "?namespace=" + ns + "&token_base=2000000000000000"
	opts := &fencelock.Options{Logger: locktest.Silent}
	open := func(f func() (*fencelock.Client, error)) *fencelock.Client {
		c, err := f()
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
	older := open(func() (*fencelock.Client, error) { return fencelock.Open(t.Context(), was, opts) })
	newer := open(func() (*fencelock.Client, error) { return fencelock.Open(t.Context(), is, opts) })
	pair := func() *fencelock.Client {
		return open(func() (*fencelock.Client, error) { return fencelock.OpenBoth(t.Context(), was, is, opts) })
	}
	one, other := pair(), pair()

	for phase, fleet := range [][]*fencelock.Client{{older, one, other}, {newer, one, other}} {
		phase, fleet := phase, fleet
		key := fmt.Sprint("k", phase)
		var (
			gate  fencing.Gate
			busy  = make(chan struct{}, 1)
			ended = make(chan error, len(fleet))
		)
		for _, c := range fleet {
			go func() {
				for range 30 {
					err := fencelock.Do(context.Background(), c, key, func(_ context.Context, l *fencelock.Lease) error {
						select {
						case busy <- struct{}{}:
						default:
							return errors.New("two at the same time")
						}
						defer func() { <-busy }()
						if c == older { // it does not know of the base, so the resource may refuse it
							return nil
						}
						return gate.Admit(key, l.Token())
					})
					if err != nil {
						ended <- err
						return
					}
				}
				ended <- nil
			}()
		}
		for range fleet {
			if err := <-ended; err != nil {
				t.Errorf("phase %d: %v", phase, err)
			}
		}
	}

	// Two namespaces of one server are two sets of locks, too.
	elsewhere := "redis://" + servers.Shared(t, servers.Redis).Addr() + "?namespace=" + ns + "-moved"
	moved := open(func() (*fencelock.Client, error) { return fencelock.OpenBoth(t.Context(), was, elsewhere, opts) })
	held, err := moved.Lock(t.Context(), "moved")
	if err != nil {
		t.Fatalf("two namespaces: %v", err)
	}
	if _, err := older.TryLock(t.Context(), "moved"); !errors.Is(err, fencelock.ErrHeld) {
		t.Errorf("the old namespace: %v, want ErrHeld", err)
	}
	if err := held.Unlock(t.Context()); err != nil {
		t.Errorf("Unlock: %v", err)
	}

	// Without the base it says so, and what to do, at the first lock.
	low, _, _ := strings.Cut(is, "&")
	wrong := open(func() (*fencelock.Client, error) { return fencelock.OpenBoth(t.Context(), was, low, opts) })
	_, err = wrong.Lock(t.Context(), "low")
	if !errors.Is(err, fencelock.ErrInvalid) {
		t.Errorf("without a base: %v, want ErrInvalid", err)
	}
	t.Log(err)
}
