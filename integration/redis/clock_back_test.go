package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// setBack does to a lock what happens to all when the server's clock is set back by an
// hour: whatever ends at some time has so much more left.
func setBack(t *testing.T, admin *goredis.Client, ns, key string) {
	t.Helper()
	for _, name := range lockKeys(ns, key) {
		switch admin.Type(t.Context(), name).Val() {
		case "string":
		case "hash":
			_, rest, _ := strings.Cut(admin.HGet(t.Context(), name, "l").Val(), " ")
			later := time.Now().Add(time.Hour).UnixMilli()
			if err := admin.HSet(t.Context(), name, "l", fmt.Sprint(later, " ", rest)).Err(); err != nil {
				t.Fatal(err)
			}
		default:
			continue
		}
		if ok, err := admin.PExpire(t.Context(), name, time.Hour).Result(); err != nil || !ok {
			t.Fatalf("PEXPIRE: %v, %v", ok, err)
		}
		return
	}
	t.Fatalf("there is no lock %q", key)
}

// TestClockSetBack: a holder that died before the server's clock was set back is in the
// way for a TTL more, counted from when somebody came or asked again, and not for the
// time of the jump. One that lives keeps its lock.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			const ttl = 2 * time.Second
			s, ns := servers.Shared(t, kind), locktest.Namespace()
			admin, b, c := raw(t, s.Addr()), dial(t, s.Addr(), ns), open(t, s.Addr(), ns, ttl)
			for _, key := range []string{"waited for", "not waited for", "tried"} {
				if _, err := b.Acquire(t.Context(), driver.Request{Key: key, AttemptID: "dead", TTL: ttl}); err != nil {
					t.Fatal(err)
				}
			}
			held := locktest.Lock(t, c, "held")
			waiting := locktest.StartLock(t.Context(), c, "waited for")
			awaitWaiters(t, c, "waited for", 1)
			for _, key := range []string{"waited for", "not waited for", "tried", "held"} {
				setBack(t, admin, ns, key)
			}
			back := time.Now()
			coming := locktest.StartLock(t.Context(), c, "not waited for")
			if _, err := c.TryLock(t.Context(), "tried"); err == nil {
				t.Error("TryLock succeeds at once")
			}
			for _, a := range []<-chan locktest.Attempt{waiting, coming} {
				got := locktest.Outcome(t, a, ttl+ttl/3+locktest.Soon)
				if got.Err != nil {
					t.Fatalf("Lock: %v", got.Err)
				}
				if took := got.At.Sub(back); took < ttl/2 {
					t.Errorf("it took %v, and the holder might have lived", took)
				}
			}
			locktest.Eventually(t, locktest.Soon, "TryLock succeeds", func() bool {
				_, err := c.TryLock(t.Context(), "tried")
				return err == nil
			})
			if err := held.Err(); err != nil {
				t.Errorf("a holder that lives: %v", err)
			}
			locktest.Unlock(t, held)
		})
	}
}

// TestWaiterFromTheFuture: a waiter that died before the server's clock was set back keeps the lock from those
// that do not wait for its TTL, and not for the time of the jump.
func TestWaiterFromTheFuture(t *testing.T) {
	t.Parallel()
	const ttl = 2 * time.Second
	s, ns, key := servers.Shared(t, servers.Redis), locktest.Namespace(), "k"
	admin, b := raw(t, s.Addr()), dial(t, s.Addr(), ns)
	if _, err := b.Acquire(t.Context(), driver.Request{Key: key, AttemptID: "holder", TTL: time.Minute}); err != nil {
		t.Fatal(err)
	}
	waits, die := context.WithCancel(t.Context())
	_, err := b.Acquire(waits, driver.Request{Key: key, AttemptID: "dead", TTL: ttl, Wait: true, Waiting: die})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("the waiter: %v", err)
	}
	setBack(t, admin, ns, key)
	for _, name := range lockKeys(ns, key) {
		if admin.Exists(t.Context(), name).Val() == 0 {
			continue
		}
		f := strings.SplitN(admin.HGet(t.Context(), name, "1").Val(), " ", 3)
		f[1] = fmt.Sprint(time.Now().Add(time.Hour).UnixMilli())
		if err := admin.HSet(t.Context(), name, "1", strings.Join(f, " ")).Err(); err != nil {
			t.Fatal(err)
		}
		if err := admin.HDel(t.Context(), name, "l").Err(); err != nil { // the holder's lease has ended
			t.Fatal(err)
		}
	}
	try := func() bool {
		_, err := b.Acquire(t.Context(), driver.Request{Key: key, AttemptID: "try", TTL: ttl})
		return err == nil
	}
	if try() {
		t.Error("one that does not wait gets the lock at once")
	}
	locktest.Eventually(t, ttl+locktest.Soon, "one that does not wait gets the lock", try)
}
