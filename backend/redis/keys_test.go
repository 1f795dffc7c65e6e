package redis

import (
	"hash/fnv"
	"regexp"
	"strings"
	"testing"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
)

// The shard of a key is part of the format: FNV-1a modulo 128, for ever.
func TestShardIsFNV(t *testing.T) {
	b := &backend{shards: shardNames("ns")}
	for _, key := range []string{"a", "invoices/42", "..", " ", "ü", strings.Repeat("x", 1024)} {
		h := fnv.New32a()
		_, _ = h.Write([]byte(key))
		want := regexp.MustCompile(`^ns:\{(\d+)\}:$`).FindStringSubmatch(b.shard(key))
		if want == nil || b.shard(key) != b.shards[h.Sum32()%128] {
			t.Errorf("shard(%q) = %q", key, b.shard(key))
		}
	}
	for key, want := range map[string]string{"k": "ns:{106}:k:l", "{x}": b.shard("{x}") + "{x}:l"} {
		if got := b.lockKey(key); got != want {
			t.Errorf("lockKey(%q) = %q, want %q", key, got, want)
		}
	}
}

// The first braces in a name are the shard's, whatever the key has, for a Cluster
// looks for them; and the namespace has none.
func TestHashTagIsTheShard(t *testing.T) {
	b := &backend{shards: shardNames("a.b_c:d-1")}
	for _, key := range []string{"{}", "}{", "{1}", "}"} {
		name := b.lockKey(key)
		if tag := name[strings.Index(name, "{")+1 : strings.Index(name, "}")]; "a.b_c:d-1:{"+tag+"}:" != b.shard(key) {
			t.Errorf("lockKey(%q) = %q has the tag %q", key, name, tag)
		}
	}
}

// No two keys, and no two kinds of names, meet.
func TestNamesDoNotCollide(t *testing.T) {
	b := &backend{shards: shardNames("ns")}
	owner := strings.Repeat("0", 32)
	seen := make(map[string]string)
	enter := func(name, of string) {
		if was, ok := seen[name]; ok {
			t.Errorf("%q is the name of %s and of %s", name, was, of)
		}
		seen[name] = of
	}
	for _, s := range b.shards {
		enter(s+"t", "the counter of "+s)
		enter(s+owner+":x", "the tombstone in "+s)
	}
	for _, key := range []string{"a", "a:l", "a:q", "a:w", "t", "x", ":l", ":", owner, owner + ":x", "{0}:t", "ns:{0}:t"} {
		lock := b.lockKey(key)
		queue := strings.TrimSuffix(lock, "l")
		enter(lock, "the lock of "+key)
		enter(queue+"q", "the queue of "+key)
		enter(queue+"w", "the waiters of "+key)
	}
}

func TestNamespace(t *testing.T) {
	for _, ns := range []string{"a", "fencelock", "a.b_c:d-1", strings.Repeat("n", 64)} {
		if why := node.CheckNamespace(ns); why != "" {
			t.Errorf("%q: %s", ns, why)
		}
	}
	for _, ns := range []string{"", "a b", "{a}", "a}", "ü", "a*", "a\n", strings.Repeat("n", 65)} {
		if node.CheckNamespace(ns) == "" {
			t.Errorf("%q is taken", ns)
		}
	}
}
