package redis_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestWait: with wait=2 a lock counts once two replicas have it. While one of them is stopped, no lock is granted,
// the error says so, and nothing is left; but what is held is renewed and released as ever.
func TestWait(t *testing.T) {
	t.Parallel()
	s := servers.StartSentinels(t, servers.RedisKind(t), servers.DownAfter(time.Minute)) // no fail-over is wanted
	master, one, two := s.Servers[0], s.Servers[1], s.Servers[2]
	ns, ttl := locktest.Namespace(), 3*time.Second
	plain, both := open(t, master.Addr(), ns, ttl), open(t, master.Addr()+"?wait=2", ns, ttl)
	sentinels := locktest.Open(t, "redis+sentinel://"+strings.Join(s.SentinelAddrs(), ",")+"/"+servers.MasterName+"?wait=2", ns, ttl)
	for _, c := range []*fencelock.Client{both, sentinels} {
		for _, warning := range c.Info().Warnings {
			if strings.Contains(warning, "wait=") {
				t.Errorf("it is warned of %q", warning)
			}
		}
		if c.Info().Guarantee != driver.Advisory {
			t.Errorf("it promises %v", c.Info().Guarantee)
		}
	}
	held := locktest.Lock(t, both, "held")
	for _, replica := range []*servers.Server{one, two} {
		if n := raw(t, replica.Addr()).Exists(t.Context(), lockKeys(ns, "held")...).Val(); n != 1 {
			t.Errorf("a replica has the lock %d times when Lock returns", n)
		}
	}
	next := locktest.StartLock(t.Context(), sentinels, "held")
	awaitWaiters(t, plain, "held", 1)
	locktest.Unlock(t, held)
	locktest.Unlock(t, locktest.ExpectLock(t, next, locktest.Soon))

	// The server does not know the script, so that it runs after the first WAIT, when the replicas have all before it.
	admin := raw(t, master.Addr())
	conn := admin.Conn() // WAIT is about what its connection has written
	defer conn.Close()
	if err := errors.Join(conn.Set(t.Context(), ns+"x", "x", time.Minute).Err(), conn.Wait(t.Context(), 2, locktest.Soon).Err()); err != nil {
		t.Fatal(err)
	}
	two.Pause(t)
	if err := admin.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	lease, err := both.TryLock(t.Context(), "try")
	two.Unpause(t)
	if err == nil {
		locktest.Unlock(t, lease)
		t.Error("TryLock of a server that did not know the script did not wait")
	}
	locktest.Eventually(t, locktest.Soon, "both replicas are back", func() bool {
		return conn.Set(t.Context(), ns+"x", "x", time.Minute).Err() == nil && conn.Wait(t.Context(), 2, time.Second).Val() == 2
	})

	held = locktest.Lock(t, both, "held")
	long := locktest.Lock(t, both, "long", fencelock.WithTTL(time.Minute))
	ahead := locktest.Lock(t, plain, "queue")
	queued := locktest.StartLock(t.Context(), both, "queue")
	awaitWaiters(t, plain, "queue", 1)
	two.Pause(t)
	fails := func(what string, err error, says string) {
		t.Helper()
		if !errors.Is(err, fencelock.ErrUnavailable) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v; want ErrUnavailable that says %q", what, err, says)
		}
	}
	free := func(key string) {
		t.Helper()
		locktest.Eventually(t, locktest.Soon, key+" is free", func() bool {
			status, err := plain.Inspect(t.Context(), key)
			return err == nil && !status.Held()
		})
	}
	for name, c := range map[string]*fencelock.Client{"redis": both, "redis+sentinel": sentinels} {
		began := time.Now()
		_, err := c.TryLock(t.Context(), "try")
		fails(name+": TryLock", err, "1 of 2 replicas have it")
		if took := time.Since(began); took > ttl {
			t.Errorf("TryLock took %v", took)
		}
		free("try")
	}
	_, err = both.Lock(t.Context(), "lock")
	fails("Lock", err, "1 of 2 replicas have it")
	free("lock")
	var crowd []<-chan locktest.Attempt // that goes together
	for range 20 {
		crowd = append(crowd, locktest.StartLock(t.Context(), both, "crowd"+string(rune('a'+len(crowd)))))
	}
	for _, a := range crowd {
		fails("one of many", locktest.Outcome(t, a, 2*ttl+locktest.Soon).Err, "1 of 2 replicas have it")
	}

	locktest.Unlock(t, ahead) // which hands the lock to the one that waits
	fails("a hand-off", locktest.Outcome(t, queued, 2*ttl+locktest.Soon).Err, "1 of 2 replicas have it")
	free("queue")
	locktest.AwaitRenewal(t, held, ttl, time.Now())
	locktest.Unlock(t, held)
	began := time.Now()
	locktest.Unlock(t, long) // to wait would take a second and a half
	if took := time.Since(began); took > time.Second {
		t.Errorf("Unlock waited for replicas: it took %v", took)
	}
	locktest.Unlock(t, locktest.Lock(t, plain, "held"))

	two.Unpause(t)
	locktest.Eventually(t, locktest.Soon, "both replicas have a lock", func() bool {
		lease, err := both.TryLock(t.Context(), "again")
		if err == nil {
			locktest.Unlock(t, lease)
		}
		return err == nil
	})
	expectNothingLeft(t, admin, ns)
}

// TestWaitInCluster: there it is the replicas of the master that has the lock.
func TestWaitInCluster(t *testing.T) {
	t.Parallel()
	s := servers.StartRedisCluster(t, servers.RedisKind(t), 3, servers.Replicas(1))
	ns, ttl := locktest.Namespace(), 3*time.Second
	u := "redis+cluster://" + s.Nodes[0].Told()
	plain, waits := locktest.Open(t, u, ns, ttl), locktest.Open(t, u+"?wait=1", ns, ttl)
	keys := []string{"a", "b", "c", "d", "e", "f"}
	for _, key := range keys {
		locktest.Unlock(t, locktest.Lock(t, waits, key))
	}
	replica := s.ReplicasOf(t, &s.Nodes[0])[0]
	replica.Pause(t)
	defer replica.Unpause(t)
	failed := 0
	for _, key := range keys {
		lease, err := waits.TryLock(t.Context(), key)
		switch {
		case err == nil:
			locktest.Unlock(t, lease)
		case errors.Is(err, fencelock.ErrUnavailable) && strings.Contains(err.Error(), "0 of 1 replicas have it"):
			failed++
			locktest.Eventually(t, locktest.Soon, key+" is free", func() bool {
				status, err := plain.Inspect(t.Context(), key)
				return err == nil && !status.Held()
			})
			locktest.Unlock(t, locktest.Lock(t, plain, key))
		default:
			t.Errorf("TryLock of %s: %v", key, err)
		}
	}
	if failed == 0 || failed == len(keys) {
		t.Errorf("%d of %d locks failed, while the replica of one of three masters was stopped", failed, len(keys))
	}
}

// TestWaitForMoreThanThereAre: it is warned of at Open, and Lock says how many there are.
func TestWaitForMoreThanThereAre(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.Redis), locktest.Namespace()
	c := open(t, s.Addr()+"?wait=1", ns, time.Second)
	warned := false
	for _, warning := range c.Info().Warnings {
		warned = warned || strings.Contains(warning, "wait=1, and 0 replicas are connected")
	}
	if !warned {
		t.Errorf("warnings %q", c.Info().Warnings)
	}
	if _, err := c.Lock(t.Context(), "k"); !errors.Is(err, fencelock.ErrUnavailable) || !strings.Contains(err.Error(), "0 of 1 replicas have it") {
		t.Errorf("Lock: %v", err)
	}
	expectNothingLeft(t, raw(t, s.Addr()), ns)
}

// TestWaitIsNotThere: Open says that the server has no WAIT, as managed services do not, or does not allow it.
func TestWaitIsNotThere(t *testing.T) {
	t.Parallel()
	for _, kind := range servers.Redises() {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			s, ns := servers.Start(t, kind, servers.Args("--rename-command", "WAIT", "GONE")), locktest.Namespace()
			expectOpenRefused(t, "redis://"+s.Addr()+"?wait=1", ns, false, "wait=1", "does not know the command WAIT")
			expectOpen(t, "redis://"+s.Addr(), "append-only file")

			admin := raw(t, servers.Shared(t, kind).Addr())
			rules := locktest.Permissions(t, "../../backend/redis/doc.go", ns)
			u := allow(t, admin, servers.Shared(t, kind), "nowait-"+ns, rules)
			expectOpenRefused(t, u+"?wait=1", ns, false, "wait=1", "+wait")
			if err := locktest.OpenURL(t, allow(t, admin, servers.Shared(t, kind), "wait-"+ns, append(rules, "+wait"))+"?wait=1"); err != nil && !strings.Contains(err.Error(), "NOPERM") {
				t.Errorf("with +wait: %v", err)
			}
		})
	}
}

// TestWaitHeedsTheContext: an attempt that waits for replicas ends with its context.
func TestWaitHeedsTheContext(t *testing.T) {
	t.Parallel()
	s, ns := servers.Shared(t, servers.Redis), locktest.Namespace()
	c := open(t, s.Addr()+"?wait=1", ns, time.Minute) // WAIT takes a second and a half
	for range 2 {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		began := time.Now()
		_, err := c.Lock(ctx, "k")
		cancel()
		if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > time.Second {
			t.Errorf("Lock: %v after %v", err, took)
		}
	}
	expectNothingLeft(t, raw(t, s.Addr()), ns)
}
