package redlock_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestOneListForAll: who has another list than the one that was set up has no majority of its own,
// and leaves the nodes as they are.
func TestOneListForAll(t *testing.T) {
	t.Parallel()
	w := sharedEnv(t, 5)
	a := w.addrs()
	first := locktest.Open(t, w.url(a[0], a[1], a[2]), "", longTTL)
	held := locktest.Lock(t, first, "k")

	t.Run("another order", func(t *testing.T) {
		c := locktest.Open(t, w.url(a[2], a[0], a[1]), "", longTTL)
		if l, err := c.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("TryLock = %v, %v; want ErrHeld", l, err)
		}
	})
	t.Run("one more than half of it", func(t *testing.T) {
		// It is as if the third had lost its data, or was put in its place without the command.
		var log locktest.Log
		c, err := fencelock.Open(t.Context(), w.url(a[0], a[1], a[3]), &fencelock.Options{Logger: log.Logger()})
		said := log.String()
		if err != nil {
			said = err.Error()
		} else {
			if l, err := c.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
				t.Errorf("TryLock = %v, %v; want ErrHeld", l, err)
			}
			_ = c.Close()
		}
		if !strings.Contains(said, a[3]) || !strings.Contains(said, "redlock replace") {
			t.Errorf("it says %q; want what is wrong with %s, and the cure", said, a[3])
		}
	})
	t.Run("less than half of it", func(t *testing.T) {
		expectNoOpening(t, w.url(a[0], a[3], a[4]), a[3], a[4])
	})
	t.Run("more than it", func(t *testing.T) { expectNoOpening(t, w.url(a...), "3 nodes", "names 5") })
	w.expectUnused(t, 3)
	w.expectUnused(t, 4)

	t.Run("another longest TTL", func(t *testing.T) {
		expectNoOpening(t, w.url(a[:3]...)+"&max_ttl=10s", "max_ttl", "1m")
	})
	t.Run("half of two lists", func(t *testing.T) {
		b := append([]string{servers.Start(t, servers.Redis, durable()).Addr()}, a[3], a[4])
		mine := locktest.Open(t, w.url(b...), "", longTTL)
		mineHeld := locktest.Lock(t, mine, "mine")
		// It is refused, unless a majority was so much quicker that it works with that; and the third
		// takes no part.
		for _, mixed := range []struct {
			addrs       []string
			other, held string
		}{{[]string{a[0], a[1], a[3]}, a[3], "k"}, {[]string{a[0], a[3], a[4]}, a[0], "mine"}} {
			var log locktest.Log
			c, err := fencelock.Open(t.Context(), w.url(mixed.addrs...), &fencelock.Options{Logger: log.Logger()})
			if err != nil {
				if !contains(err.Error(), "different lists", a[2], b[0]) {
					t.Errorf("Open = %v; want both lists", err)
				}
				continue
			}
			if l, err := c.TryLock(t.Context(), mixed.held); !errors.Is(err, fencelock.ErrHeld) {
				t.Errorf("TryLock of %q = %v, %v; want ErrHeld", mixed.held, l, err)
			}
			_ = c.Close()
			if !contains(log.String(), mixed.other, "another list") {
				t.Errorf("it says %q; want that %s is of another list", log.String(), mixed.other)
			}
		}
		locktest.Unlock(t, mineHeld)
		locktest.Unlock(t, locktest.Lock(t, mine, "mine"))
	})
	locktest.Unlock(t, held)
	locktest.Unlock(t, locktest.Lock(t, first, "k"))
}

// expectNoOpening wants Open to fail in time, and to say why.
func expectNoOpening(t *testing.T, u string, words ...string) {
	t.Helper()
	began := time.Now()
	c, err := fencelock.Open(t.Context(), u, &fencelock.Options{Logger: locktest.Silent})
	if err == nil {
		_ = c.Close()
		t.Errorf("Open works; want an error that says %q", words)
		return
	}
	if took := time.Since(began); took > locktest.Soon+locktest.Slack {
		t.Errorf("it took %v to say %v", took, err)
	}
	if !errors.Is(err, fencelock.ErrUnavailable) && !errors.Is(err, fencelock.ErrRefused) && !errors.Is(err, fencelock.ErrInvalid) && !errors.Is(err, fencelock.ErrUnsupported) {
		t.Errorf("Open: %v; want an error of a kind", err)
	}
	if !contains(err.Error(), words...) {
		t.Errorf("Open: %v; want an error that says %q", err, words)
	}
	t.Log(err)
}

// expectUnused wants a node to have nothing of the namespace.
func (w *env) expectUnused(t *testing.T, i int) {
	t.Helper()
	if names, err := w.admins[i].Keys(t.Context(), w.name("*")).Result(); err != nil || len(names) > 0 {
		t.Errorf("%s has %q, %v; it is in no list", w.masters[i].Addr(), names, err)
	}
}

// TestUnfitMasters: Open names each that cannot be a node of a list, and why, and writes nothing
// anywhere.
func TestUnfitMasters(t *testing.T) {
	t.Parallel()
	w := sharedEnv(t, 3)
	a := w.addrs()
	twice := w.links(t)[0].Addr() // another way to the first
	odd := servers.StartMasters(t, []servers.Kind{servers.Redis, servers.Redis70})
	member := servers.Start(t, servers.Redis, servers.Args("--cluster-enabled", "yes"))
	replica := raw(t, odd[0].Addr())
	if err := replica.Do(t.Context(), "REPLICAOF", "127.0.0.1", "1").Err(); err != nil {
		t.Fatal(err)
	}
	scriptless := raw(t, odd[1].Addr())
	if err := scriptless.Do(t.Context(), "ACL", "SETUSER", "default", "-evalsha", "-eval", "-script").Err(); err != nil {
		t.Fatal(err)
	}
	t.Run("the same twice", func(t *testing.T) { expectNoOpening(t, w.url(a[0], a[1], twice), a[0], twice) })
	t.Run("a replica", func(t *testing.T) {
		expectNoOpening(t, w.url(odd[0].Addr(), a[1], a[2]), odd[0].Addr(), "takes no writes")
	})
	t.Run("no scripts", func(t *testing.T) {
		expectNoOpening(t, w.url(a[0], odd[1].Addr(), a[2]), odd[1].Addr(), "NOPERM")
	})
	t.Run("a member of a Cluster", func(t *testing.T) {
		expectNoOpening(t, w.url(a[0], a[1], member.Addr()), member.Addr(), "Cluster")
	})
	for i := range w.masters {
		w.expectUnused(t, i)
	}
	// Whatever went wrong before, the right list can be set up.
	locktest.Unlock(t, locktest.Lock(t, w.open(t, longTTL), "k"))
}

// TestSetUpAtOnce: many clients set up a list at the same time, each in another order. They agree.
func TestSetUpAtOnce(t *testing.T) {
	t.Parallel()
	w := sharedEnv(t, 5)
	a := w.addrs()
	type opened struct {
		c   *fencelock.Client
		err error
	}
	all := make(chan opened)
	const n = 8
	for i := range n {
		list := append(append([]string{}, a[i%5:]...), a[:i%5]...)
		go func() {
			c, err := fencelock.Open(t.Context(), w.url(list...), &fencelock.Options{Logger: locktest.Silent})
			all <- opened{c, err}
		}()
	}
	var clients []*fencelock.Client
	for range n {
		o := <-all
		if o.err != nil {
			t.Errorf("Open: %v", o.err)
			continue
		}
		clients = append(clients, o.c)
		defer o.c.Close()
	}
	var book locktest.Ledger
	book.TakeTurns(t, locktest.Soon, "k", clients...)
	records := map[string]bool{}
	for i := range w.masters {
		records[w.admins[i].Get(context.Background(), w.name("list")).Val()] = true
	}
	if len(records) != 1 {
		t.Errorf("the masters have %d different set-up records: %v", len(records), records)
	}
}
