package redis_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/integration/internal/servers"
)

// slots are a Redis Cluster of two nodes.
type slots struct {
	*servers.RedisCluster
	clients []*goredis.Client // one for each node
	next    atomic.Int64

	migrating sync.Mutex
}

func startSlots(t testing.TB, kind servers.Kind, opts ...servers.Option) *slots {
	t.Helper()
	c := &slots{RedisCluster: servers.StartRedisCluster(t, kind, 2, opts...)}
	for _, n := range c.Nodes {
		client := goredis.NewClient(&goredis.Options{Addr: n.Addr(), MaxRetries: -1, ReadTimeout: 30 * time.Second})
		t.Cleanup(func() { _ = client.Close() })
		c.clients = append(c.clients, client)
	}
	return c
}

// slot is a slot of a Cluster, and a client that follows it.
type slot struct {
	*slots
	number int
	tag    string // names with {tag} are in it
	owner  int    // the node that the client takes for its owner
	moved  int    // how often the client was told MOVED
	asked  int    // how often it was told ASK
}

// slot returns one of the first node, that no other test has.
func (c *slots) slot(t testing.TB) *slot {
	t.Helper()
	for {
		tag := fmt.Sprint(c.next.Add(1))
		n := must(c.clients[0].ClusterKeySlot(t.Context(), tag).Result())(t)
		if n < 8192 {
			return &slot{slots: c, number: int(n), tag: tag}
		}
	}
}

// errTryAgain is an answer that a client of a Cluster meets by waiting, for as long as the slot moves.
// The layout of a lock is made so that it never comes.
var errTryAgain = errors.New("TRYAGAIN")

// do sends a command as a client of a Cluster does: it follows MOVED and ASK.
func (s *slot) do(ctx context.Context, words ...any) (any, error) {
	node, asking := s.owner, false
	for range 6 {
		reply, err := s.send(ctx, node, asking, words)
		if err == nil || errors.Is(err, goredis.Nil) {
			return reply, nil
		}
		kind, rest, _ := strings.Cut(err.Error(), " ")
		switch kind {
		case "TRYAGAIN":
			return nil, fmt.Errorf("%w: %s", errTryAgain, rest)
		case "MOVED", "ASK":
			if node, err = s.at(rest); err != nil {
				return nil, err
			}
			if asking = kind == "ASK"; asking {
				s.asked++
			} else {
				s.moved++
				s.owner = node
			}
		default:
			return nil, err
		}
	}
	return nil, errors.New("it was sent to and fro")
}

func (s *slot) send(ctx context.Context, node int, asking bool, words []any) (any, error) {
	if !asking {
		return s.clients[node].Do(ctx, words...).Result()
	}
	both := s.clients[node].Pipeline() // ASKING is for the next command on the connection
	both.Do(ctx, "ASKING")
	cmd := both.Do(ctx, words...)
	_, _ = both.Exec(ctx)
	return cmd.Result()
}

// at returns the node that "number host:port" names.
func (s *slot) at(redirection string) (int, error) {
	_, addr, _ := strings.Cut(redirection, " ")
	i := slices.IndexFunc(s.Nodes, func(n servers.RedisNode) bool { return n.Peer == addr })
	if i < 0 {
		return 0, fmt.Errorf("nobody is at %q", redirection)
	}
	return i, nil
}

// has reports whether a node has a key, whoever owns the slot.
func (s *slot) has(t testing.TB, node int, key string) bool {
	t.Helper()
	names := must(s.clients[node].ClusterGetKeysInSlot(t.Context(), s.number, 1000).Result())(t)
	return slices.Contains(names, key)
}

// A slot moves key by key in these steps: open, move for each key, settle at the destination, and then
// at the source.

// open has the source send on whoever wants a key that it does not have, and the destination take in whoever
// was sent.
func (s *slot) open(t testing.TB, from, to int) {
	t.Helper()
	s.set(t, to, "IMPORTING", s.Nodes[from].ID)
	s.set(t, from, "MIGRATING", s.Nodes[to].ID)
}

// move moves one key, if it is there.
func (s *slot) move(t testing.TB, from, to int, key string) {
	t.Helper()
	s.migrating.Lock() // a node waits for the other one in MIGRATE: two that move to each other wait for ever
	defer s.migrating.Unlock()
	host, port, _ := net.SplitHostPort(s.Nodes[to].Peer)
	if err := s.clients[from].Migrate(t.Context(), host, port, key, 0, 10*time.Second).Err(); err != nil {
		t.Fatalf("MIGRATE %s: %v", key, err)
	}
}

// moveAll moves what the source still has.
func (s *slot) moveAll(t testing.TB, from, to int) {
	t.Helper()
	for {
		names := must(s.clients[from].ClusterGetKeysInSlot(t.Context(), s.number, 100).Result())(t)
		if len(names) == 0 {
			return
		}
		for _, name := range names {
			s.move(t, from, to, name)
		}
	}
}

// settle tells a node that the slot has moved.
func (s *slot) settle(t testing.TB, node, to int) {
	t.Helper()
	s.set(t, node, "NODE", s.Nodes[to].ID)
}

func (s *slot) set(t testing.TB, node int, words ...any) {
	t.Helper()
	words = append([]any{"CLUSTER", "SETSLOT", s.number}, words...)
	if err := s.clients[node].Do(t.Context(), words...).Err(); err != nil {
		t.Fatalf("%v: %v", words, err)
	}
}

// must is for results that a test cannot do without: must(f())(t).
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}
