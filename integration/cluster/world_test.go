package cluster_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/integration/internal/locktest"
	"github.com/fencelock/fencelock/integration/internal/servers"
)

// world is a Cluster to which something happens, with a plain client of each node.
type world struct {
	*env
	masters int // at the beginning
	plain   map[*servers.RedisNode]*goredis.Client
}

// startWorld starts three masters with a replica each.
func startWorld(t *testing.T, opts ...servers.Option) *world {
	t.Helper()
	return inWorld(t, startEnv(t, opts...), 3)
}

func inWorld(t *testing.T, e *env, masters int) *world {
	t.Helper()
	w := &world{env: e, masters: masters, plain: map[*servers.RedisNode]*goredis.Client{}}
	for i := range e.Nodes {
		n := &e.Nodes[i]
		c := goredis.NewClient(&goredis.Options{Addr: n.Addr(), MaxRetries: -1, DialerRetries: 1, DialTimeout: time.Second})
		t.Cleanup(func() { _ = c.Close() })
		w.plain[n] = c
	}
	return w
}

// do sends a command to a node.
func (w *world) do(t *testing.T, n *servers.RedisNode, words ...any) any {
	t.Helper()
	got, err := w.plain[n].Do(t.Context(), words...).Result()
	if err != nil {
		t.Fatalf("%v at %s: %v", words, n.Peer, err)
	}
	return got
}

// slot is that of a lock.
func (w *world) slot(t *testing.T, key string) int {
	t.Helper()
	for i := len(w.Nodes) - 1; i >= 0; i-- { // whoever answers; mostly something happens to the first
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		n, err := w.plain[&w.Nodes[i]].ClusterKeySlot(ctx, w.lockKey(key)).Result()
		cancel()
		if err == nil {
			return int(n)
		}
	}
	t.Fatal("no node answers")
	return 0
}

const slots = 16384

// keyIn is a key with this beginning, whose lock is in one of these slots.
func (w *world) keyIn(t *testing.T, first, last int, name string) string {
	t.Helper()
	for i := 0; ; i++ {
		key := fmt.Sprint(name, ".", i)
		if n := w.slot(t, key); first <= n && n <= last {
			return key
		}
	}
}

// keyAt is a key with this beginning, whose lock is at a master at the beginning: the first, if shard is 0.
func (w *world) keyAt(t *testing.T, shard int, name string) string {
	t.Helper()
	return w.keyIn(t, shard*slots/w.masters, (shard+1)*slots/w.masters-1, name)
}

// tagged are keys whose locks are all in one slot: that of what is before the first }.
func tagged(tag, name string, n int) (keys []string) {
	for i := range n {
		keys = append(keys, tag+"}"+name+strconv.Itoa(i))
	}
	return keys
}

// freeze has a replica hear nothing of its master any more, until it is a master itself.
func (w *world) freeze(t *testing.T, replica *servers.RedisNode) {
	t.Helper()
	w.do(t, replica, "CONFIG", "SET", "masteruser", "nobody", "masterauth", "wrong") // it is let in no more
	w.do(t, replica, "CLIENT", "KILL", "TYPE", "MASTER")
	locktest.Eventually(t, locktest.Soon, "the replica hears nothing", func() bool {
		return w.info(t, replica, "replication")["master_link_status"] == "down"
	})
}

// thaw takes that back.
func (w *world) thaw(t *testing.T, n *servers.RedisNode) {
	t.Helper()
	w.do(t, n, "CONFIG", "SET", "masteruser", "", "masterauth", "")
}

// replicate returns when the replicas of a master have what it has now. tag is one of its slots.
func (w *world) replicate(t *testing.T, master *servers.RedisNode, tag string) {
	t.Helper()
	one := w.plain[master].Conn() // WAIT is about what its connection has written
	defer one.Close()
	err := one.Set(t.Context(), "replicate{"+tag+"}", "now", time.Minute).Err()
	n, err2 := one.Wait(t.Context(), 1, locktest.Soon).Result()
	if err != nil || err2 != nil || n < 1 {
		t.Fatalf("%d replicas have it: %v, %v", n, err, err2)
	}
}

// info is a section of a node's INFO.
func (w *world) info(t *testing.T, n *servers.RedisNode, section string) map[string]string {
	t.Helper()
	text, err := w.plain[n].Info(t.Context(), section).Result()
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

// Of a lock that nobody has, its last token stays for a minute, and tombstones for as long before that.
const longestLeft = 2 * time.Minute

// expectNothingLeft wants the namespace to have nothing but locks that nobody has, nor waits for, and that end by
// themselves.
func (w *world) expectNothingLeft(t *testing.T) {
	t.Helper()
	for i := range w.Nodes {
		if n := &w.Nodes[i]; w.info(t, n, "replication")["role"] == "master" {
			w.expectNothingLeftAt(t, n)
		}
	}
}

func (w *world) expectNothingLeftAt(t *testing.T, master *servers.RedisNode) {
	t.Helper()
	locktest.ExpectNothingLeft(t, func() []string { return w.left(t.Context(), master) })
}

// left are the names of the namespace that should not be at a node.
func (w *world) left(ctx context.Context, n *servers.RedisNode) (left []string) {
	c := w.plain[n]
	scan := c.Scan(ctx, 0, w.ns+":*", 1000).Iterator()
	var names []string
	for scan.Next(ctx) {
		names = append(names, scan.Val())
	}
	if err := scan.Err(); err != nil {
		return []string{err.Error()}
	}
	pipe := c.Pipeline()
	fields, lives := make([]*goredis.StringSliceCmd, len(names)), make([]*goredis.DurationCmd, len(names))
	for i, name := range names {
		fields[i], lives[i] = pipe.HKeys(ctx, name), pipe.PTTL(ctx, name)
	}
	_, _ = pipe.Exec(ctx) // each says
	for i, name := range names {
		life := lives[i].Val()
		if life == -2 { // it is gone
			continue
		}
		held := false
		for _, f := range fields[i].Val() {
			held = held || f == "l" || strings.HasPrefix(f, "w")
		}
		if err := fields[i].Err(); err != nil || held || life <= 0 || life > longestLeft {
			left = append(left, fmt.Sprintf("%s for %v: %.100v, %v", name, life, fields[i].Val(), err))
		}
	}
	return left
}

// bare is a client that does nothing but write at the one that is to be the master, over and over: what it waits for, any
// client would have to.
type bare struct {
	first chan time.Time // when the new master took a write for the first time
	stop  func()
}

// startBare begins. tag is of a slot of the master that is to be.
func (w *world) startBare(t *testing.T, tag string, next *servers.RedisNode) *bare {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	b := &bare{first: make(chan time.Time, 1)}
	b.stop = sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(b.stop)
	running.Go(func() {
		again := time.NewTicker(5 * time.Millisecond)
		defer again.Stop()
		for ctx.Err() == nil {
			if w.plain[next].Set(ctx, "bare{"+tag+"}", "client", time.Minute).Err() == nil {
				b.first <- time.Now()
				return
			}
			select {
			case <-again.C:
			case <-ctx.Done():
			}
		}
	})
	return b
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
