package comingfrom_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	bsm "github.com/bsm/redislock"
	rs "github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/go-zookeeper/zk"
	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
	rl "github.com/redis/rueidis/rueidislock"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// What the pages say of the other libraries, tried with the versions in go.mod. If one of
// these fails after an update, the page needs another sentence.

func redisClient(t *testing.T) *redis.Client {
	c := redis.NewClient(&redis.Options{Addr: servers.Shared(t, servers.Redis).Addr()})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestObservedRedislock(t *testing.T) {
	t.Parallel()
	ctx, key := context.Background(), locktest.Namespace()
	c := bsm.New(redisClient(t))
	first, err := c.Obtain(ctx, key, 5*time.Second, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Obtain(ctx, key, time.Second, nil); !errors.Is(err, bsm.ErrNotObtained) {
		t.Errorf("without a strategy: %v, want ErrNotObtained at once", err)
	}
	// The TTL is the time-out of the wait, too, where the context has none.
	began := time.Now()
	_, err = c.Obtain(ctx, key, 200*time.Millisecond, &bsm.Options{RetryStrategy: bsm.LinearBackoff(20 * time.Millisecond)})
	if took := time.Since(began); !errors.Is(err, context.DeadlineExceeded) || took > 3*time.Second {
		t.Errorf("a wait: %v after %v, want DeadlineExceeded after its own TTL", err, took)
	}
	// Nothing renews it, and nobody is told.
	second, err := c.Obtain(ctx, key, time.Minute, &bsm.Options{RetryStrategy: bsm.LinearBackoff(20 * time.Millisecond)})
	if err != nil {
		t.Fatalf("after the TTL: %v", err)
	}
	if err := first.Release(ctx); !errors.Is(err, bsm.ErrLockNotHeld) {
		t.Errorf("Release of what expired: %v, want ErrLockNotHeld", err)
	}
	if err := second.Release(ctx); err != nil {
		t.Error(err)
	}
}

func TestObservedRedsync(t *testing.T) {
	t.Parallel()
	ctx, key := context.Background(), locktest.Namespace()
	r := rs.New(goredis.NewPool(redisClient(t)))
	first := r.NewMutex(key)
	if err := first.LockContext(ctx); err != nil {
		t.Fatal(err)
	}
	if left := time.Until(first.Until()); left > 8*time.Second || left < 5*time.Second {
		t.Errorf("it is held for %v, want little less than 8s", left)
	}
	began := time.Now()
	err := r.NewMutex(key).LockContext(ctx)
	if taken := (*rs.ErrTaken)(nil); !errors.As(err, &taken) {
		t.Errorf("a wait that gives up: %v, want ErrTaken", err)
	}
	t.Logf("it gave up after %v: %v", time.Since(began), err)
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if err := r.NewMutex(key).LockContext(short); !errors.Is(err, rs.ErrFailed) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a context that ends: %v, want ErrFailed and not the context's", err)
	}
	locktest.Eventually(t, 20*time.Second, "the mutex expires under its holder", func() bool { return r.NewMutex(key, rs.WithTries(1)).Lock() == nil })
	if ok, err := first.Unlock(); ok || err == nil {
		t.Errorf("Unlock of what expired: %v, %v", ok, err)
	} else {
		t.Logf("Unlock of what expired: %v", err)
	}
}

func TestObservedRueidislock(t *testing.T) {
	t.Parallel()
	name := locktest.Namespace()
	rdb := redisClient(t)
	l, err := rl.NewLocker(rl.LockerOption{
		ClientOption: rueidis.ClientOption{InitAddress: []string{servers.Shared(t, servers.Redis).Addr()}},
		KeyMajority:  1, NoLoopTracking: true, TryNextAfter: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel, err := l.WithContext(context.Background(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	if n, err := rdb.Del(t.Context(), "rueidislock:0:"+name).Result(); n != 1 || err != nil {
		t.Fatalf("DEL rueidislock:0:NAME: %d, %v", n, err)
	}
	locktest.Await(t, soon, "the context ends with the key", ctx.Done())
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) || cause.Error() != "context canceled" {
		t.Errorf("the cause is %q", cause)
	}
}

func TestObservedEtcdMutex(t *testing.T) {
	t.Parallel()
	prefix := "/" + locktest.Namespace()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{servers.Shared(t, servers.Etcd).Addr()}, DialTimeout: soon})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := concurrency.NewSession(c)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	// Two mutexes of one session: both are locked.
	one, two := concurrency.NewMutex(s, prefix), concurrency.NewMutex(s, prefix)
	if err := errors.Join(one.Lock(t.Context()), two.Lock(t.Context())); err != nil {
		t.Fatalf("the second Lock of a session: %v", err)
	}
	if one.Key() != two.Key() || !strings.HasPrefix(one.Key(), prefix+"/") {
		t.Errorf("keys %s, %s", one.Key(), two.Key())
	}
	// The key is deleted by hand: another session has the lock, and this one is not told.
	if _, err := c.Delete(t.Context(), one.Key()); err != nil {
		t.Fatal(err)
	}
	s2, err := concurrency.NewSession(c)
	if err != nil {
		t.Fatal(err)
	}
	defer s2.Close()
	if err := concurrency.NewMutex(s2, prefix).TryLock(t.Context()); err != nil {
		t.Errorf("TryLock of another session: %v", err)
	}
	select {
	case <-s.Done():
		t.Error("the session tells that a key has gone")
	case <-time.After(300 * time.Millisecond):
	}
	if err := one.Unlock(t.Context()); err != nil {
		t.Errorf("Unlock of what was lost: %v", err)
	}
}

func TestObservedZKLock(t *testing.T) {
	t.Parallel()
	path := "/" + locktest.Namespace()
	c, _, err := zk.Connect([]string{servers.Shared(t, servers.ZooKeeper).Addr()}, soon)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l := zk.NewLock(c, path, zk.WorldACL(zk.PermAll))
	if err := l.Lock(); err != nil {
		t.Fatal(err)
	}
	nodes, _, err := c.Children(path)
	if err != nil || len(nodes) != 1 {
		t.Fatalf("children: %v, %v", nodes, err)
	}
	if err := c.Delete(path+"/"+nodes[0], -1); err != nil {
		t.Fatal(err)
	}
	if err := l.Unlock(); !errors.Is(err, zk.ErrNoNode) {
		t.Errorf("Unlock of what was lost: %v, want ErrNoNode", err)
	}
	if err := l.Lock(); !errors.Is(err, zk.ErrDeadlock) {
		t.Errorf("Lock after that: %v, want ErrDeadlock", err)
	}
	if ok, _, err := c.Exists(path); err != nil || !ok {
		t.Errorf("the parent: %v, %v; want it to stay", ok, err)
	}
}
