package redis

import (
	"context"
	"errors"
	"hash/fnv"
	"net"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
)

// The shard of a key is part of the format: FNV-1a modulo 128, for ever.
func TestShardIsFNV(t *testing.T) {
	b := &backend{names: newNames("ns", "me")}
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
	b := &backend{names: newNames("a.b_c:d-1", "me")}
	for _, key := range []string{"{}", "}{", "{1}", "}"} {
		name := b.lockKey(key)
		if tag := name[strings.Index(name, "{")+1 : strings.Index(name, "}")]; "a.b_c:d-1:{"+tag+"}:" != b.shard(key) {
			t.Errorf("lockKey(%q) = %q has the tag %q", key, name, tag)
		}
	}
}

// No two keys, and no two kinds of names, meet.
func TestNamesDoNotCollide(t *testing.T) {
	b := &backend{names: newNames("ns", "me")}
	seen := make(map[string]string)
	enter := func(name, of string) {
		if was, ok := seen[name]; ok {
			t.Errorf("%q is the name of %s and of %s", name, was, of)
		}
		seen[name] = of
	}
	for _, s := range b.shards {
		enter(s+"t", "the counter that builds before this layout had in "+s)
	}
	enter("ns:t", "the counter")
	for _, key := range []string{"a", "a:l", "a:q", "a:w", "t", "x", ":l", ":", "{0}:t", "ns:{0}:t"} {
		enter(b.lockKey(key), "the lock of "+key)
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

// An application's dialler that does not heed its context cannot hold Close up.
func TestCloseDoesNotWaitForADeafDialler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conf := node.BaseOptions()
		conf.Addr, conf.Dialer = "192.0.2.1:6379", func(context.Context, string, string) (net.Conn, error) {
			time.Sleep(time.Hour)
			return nil, errors.New("nobody is there")
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		if _, err := open(ctx, Options{}, oneServer(conf)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("open: %v, want its context's error", err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("open took %v", took)
		}
		time.Sleep(2 * time.Hour) // until the dialler is done, so that all goroutines are
	})
}
