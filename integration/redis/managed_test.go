package redis_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// TestManaged: services that run servers for others leave out commands, and most of what INFO tells. Locks work, by
// each way that there is to a server; what is not known is warned of, and what is asked for and not there is refused with
// its name.
func TestManaged(t *testing.T) {
	t.Parallel()
	kind := servers.RedisKind(t)
	less := servers.Args("--rename-command", "CONFIG", "", "--rename-command", "WAIT", "", "--rename-command", "DEBUG", "",
		"--rename-command", "SLAVEOF", "GONE", "--rename-command", "SAVE", "", "--rename-command", "BGREWRITEAOF", "", "--appendonly", "yes")
	for way, start := range map[string]func(t *testing.T) func(*redis.Options) (driver.Backend, error){
		"redis": func(t *testing.T) func(*redis.Options) (driver.Backend, error) {
			app := goredis.NewClient(&goredis.Options{Addr: servers.Start(t, kind, less).Addr(), Dialer: tellLess})
			t.Cleanup(func() { _ = app.Close() })
			return func(o *redis.Options) (driver.Backend, error) { return redis.New(t.Context(), app, o) }
		},
		"redis+sentinel": func(t *testing.T) func(*redis.Options) (driver.Backend, error) {
			s := servers.StartSentinels(t, kind, less, servers.DownAfter(time.Minute)) // no fail-over is wanted
			app := &goredis.FailoverOptions{MasterName: servers.MasterName, SentinelAddrs: s.SentinelAddrs(), Dialer: tellLess}
			return func(o *redis.Options) (driver.Backend, error) { return redis.NewFailover(t.Context(), app, o) }
		},
		"redis+cluster": func(t *testing.T) func(*redis.Options) (driver.Backend, error) {
			c := servers.StartRedisCluster(t, kind, 3, less)
			app := goredis.NewClusterClient(&goredis.ClusterOptions{Addrs: []string{c.Nodes[0].Told()}, Dialer: tellLess})
			t.Cleanup(func() { _ = app.Close() })
			return func(o *redis.Options) (driver.Backend, error) { return redis.New(t.Context(), app, o) }
		},
	} {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			open, ns := start(t), locktest.Namespace()
			dial := func() *fencelock.Client {
				b, err := open(&redis.Options{Namespace: ns, Logger: locktest.Silent})
				if err != nil {
					t.Fatalf("Open: %v", err)
				}
				return locktest.New(t, b, time.Second)
			}
			first, second := dial(), dial()
			if all := strings.Join(first.Info().Warnings, "\n"); !strings.Contains(all, "does not tell whether it keeps an append-only file") {
				t.Errorf("it is warned of %q", all)
			}
			for _, key := range []string{"a", "b", "c", "d"} {
				held := locktest.Lock(t, first, key)
				next := locktest.StartLock(t.Context(), second, key)
				awaitWaiters(t, first, key, 1)
				locktest.AwaitRenewal(t, held, time.Second, time.Now())
				locktest.Unlock(t, held)
				locktest.Unlock(t, locktest.ExpectLock(t, next, locktest.Soon))
			}
			for says, o := range map[string]redis.Options{"durable=true": {Durable: true}, "wait=1": {Wait: 1}} {
				o.Namespace, o.Logger = ns, locktest.Silent
				b, err := open(&o)
				if err == nil {
					_ = b.Close()
				}
				if !errors.Is(err, fencelock.ErrRefused) && !errors.Is(err, fencelock.ErrUnsupported) || !strings.Contains(err.Error(), says) {
					t.Errorf("%s: %v; want it refused by that name", says, err)
				}
			}
		})
	}
}

// tellLess dials, and hides what INFO says.
func tellLess(ctx context.Context, network, addr string) (net.Conn, error) {
	c, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &reticent{Conn: c}, nil
}

// reticent is a connection on which the fields of INFO have other names.
type reticent struct {
	net.Conn
	read []byte
}

func (c *reticent) Read(b []byte) (int, error) {
	if len(c.read) == 0 {
		buf := make([]byte, 1<<16) // an answer to INFO comes at once
		n, err := c.Conn.Read(buf)
		if err != nil {
			return 0, err
		}
		c.read = buf[:n]
		for _, field := range []string{
			"redis_version", "valkey_version", "redis_mode", "server_mode", "role", "run_id",
			"aof_enabled", "maxmemory", "connected_slaves", "slave0", "slave1", "min_slaves_good_slaves",
		} {
			// With the colon: HELLO has fields of the same names.
			c.read = bytes.ReplaceAll(c.read, []byte("\n"+field+":"), []byte("\n"+strings.Repeat("x", len(field))+":"))
		}
	}
	n := copy(b, c.read)
	c.read = c.read[n:]
	return n, nil
}
