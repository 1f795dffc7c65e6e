package sentinel_test

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"

	_ "github.com/fencelock/fencelock/backend/redis"
)

// env is a master, its replicas and their Sentinels, and a namespace.
type env struct {
	*servers.Sentinels
	ns       string
	password string
	admins   map[*servers.Server]*goredis.Client
}

func startEnv(t *testing.T, password string, opts ...servers.Option) *env {
	t.Helper()
	if password != "" {
		opts = append(opts, servers.Password(password))
	}
	e := &env{
		Sentinels: servers.StartSentinels(t, servers.RedisKind(t), opts...), ns: locktest.Namespace(), password: password,
		admins: map[*servers.Server]*goredis.Client{},
	}
	for _, s := range e.Servers {
		e.admins[s] = dial(t, s, password)
	}
	for _, s := range e.Sentinels.Sentinels {
		e.admins[s] = dial(t, s, "")
	}
	return e
}

// dial makes a plain client, which asks once.
func dial(t *testing.T, s *servers.Server, password string) *goredis.Client {
	c := goredis.NewClient(&goredis.Options{Addr: s.Addr(), Password: password, MaxRetries: -1, DialerRetries: 1, DialTimeout: time.Second})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// url is that of clients that go straight to the servers.
func (e *env) url() string {
	u := url.URL{Scheme: "redis+sentinel", Host: strings.Join(e.SentinelAddrs(), ","), Path: "/" + servers.MasterName}
	if e.password != "" {
		u.User = url.UserPassword("default", e.password)
	}
	return u.String()
}

func (e *env) open(t *testing.T, ttl time.Duration) *fencelock.Client {
	t.Helper()
	return locktest.Open(t, e.url(), e.ns, ttl)
}

// admin is a plain client of one of the six.
func (e *env) admin(s *servers.Server) *goredis.Client { return e.admins[s] }

// do sends a command to one of the six.
func (e *env) do(t *testing.T, s *servers.Server, words ...any) any {
	t.Helper()
	got, err := e.admin(s).Do(t.Context(), words...).Result()
	if err != nil {
		t.Fatalf("%v at %s: %v", words, s.Addr(), err)
	}
	return got
}

// replicate returns when all replicas have what the master has now.
func (e *env) replicate(t *testing.T, master *servers.Server) {
	t.Helper()
	one := e.admin(master).Conn() // WAIT is about what its connection has written
	defer one.Close()
	err := one.Set(t.Context(), "replicate", "now", time.Minute).Err()
	n, err2 := one.Wait(t.Context(), 2, locktest.Soon).Result()
	if err != nil || err2 != nil || n != 2 {
		t.Fatalf("%d replicas have it: %v, %v", n, err, err2)
	}
}

// bare is a client that does nothing but ask the Sentinels and write, over and over: what it waits for, any client would have to.
type bare struct {
	first chan time.Time // when the new master first took a write of one that had been sent there by a majority
	stop  func()
}

// startBare begins. There is an old master until there is a new one.
func (e *env) startBare(t *testing.T, old *servers.Server) *bare {
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	b := &bare{first: make(chan time.Time, 1)}
	b.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(b.stop)
	running.Go(func() {
		again := time.NewTicker(5 * time.Millisecond)
		defer again.Stop()
		for {
			select {
			case <-again.C:
			case <-ctx.Done():
				return
			}
			if s := e.named(ctx); s != nil && s != old && e.admin(s).Set(ctx, "bare", "client", time.Minute).Err() == nil {
				b.first <- time.Now()
				return
			}
		}
	})
	return b
}

// named is the server that a majority of the Sentinels names, or nil.
func (e *env) named(ctx context.Context) *servers.Server {
	votes := map[string]int{}
	for _, s := range e.Sentinels.Sentinels {
		addr, err := e.admin(s).Do(ctx, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", servers.MasterName).StringSlice()
		if err == nil && len(addr) == 2 {
			votes[addr[0]+":"+addr[1]]++
		}
	}
	for _, s := range e.Servers {
		if votes[s.Told()] > len(e.Sentinels.Sentinels)/2 {
			return s
		}
	}
	return nil
}

// await returns the moment.
func (b *bare) await(t *testing.T) time.Time {
	t.Helper()
	select {
	case at := <-b.first:
		return at
	case <-time.After(locktest.Electing):
		t.Fatal("nobody takes the master's place")
		return time.Time{}
	}
}

// listeners counts the clients of the namespace that are subscribed at a server.
func (e *env) listeners(ctx context.Context, s *servers.Server) int {
	channels, err := e.admin(s).PubSubChannels(ctx, e.ns+":c:*").Result()
	if err != nil {
		return -1
	}
	return len(channels)
}

// expectNothingLeft wants the namespace to have nothing on a server but its counter, words for older builds, and what ends within a
// minute by itself.
func (e *env) expectNothingLeft(t *testing.T, s *servers.Server) {
	t.Helper()
	c := e.admin(s)
	locktest.ExpectNothingLeft(t, func() (left []string) {
		names, err := c.Keys(t.Context(), e.ns+":*").Result()
		if err != nil {
			return []string{err.Error()}
		}
		for _, name := range names {
			if strings.HasSuffix(name, ":t") {
				continue
			}
			held, _ := c.HExists(t.Context(), name, "l").Result()
			life := c.PTTL(t.Context(), name).Val()
			if c.Type(t.Context(), name).Val() != "hash" || held || life < 0 || life > time.Minute {
				left = append(left, fmt.Sprintf("%s for %v", name, life))
			}
		}
		return left
	})
}

// info is a section of a server's INFO.
func (e *env) info(t *testing.T, s *servers.Server, section string) map[string]string {
	t.Helper()
	text, err := e.admin(s).Info(t.Context(), section).Result()
	if err != nil {
		t.Fatalf("INFO: %v", err)
	}
	m := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		m[name] = value
	}
	return m
}
