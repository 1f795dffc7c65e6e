package redis

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/fencelock/fencelock/backend/redis/internal/cluster"
	"github.com/fencelock/fencelock/driver"
)

// keyOf undoes lockKey, and takes no other name for a lock's.
func TestKeyOf(t *testing.T) {
	b := &backend{names: newNames("ns", "me")}
	for _, key := range []string{"a", "a:l", ":l", "}:", "{0}:t", "ns:{0}:t", "a\nb\x00", "ü*?[]\\"} {
		if got, ok := b.keyOf(b.lockKey(key)); !ok || got != key {
			t.Errorf("keyOf(lockKey(%q)) = %q, %v", key, got, ok)
		}
	}
	right := b.lockKey("k")
	for _, name := range []string{
		"", ":l", "}:l", "}::l", "k:l", "ns:{0}:k:l", strings.Replace(right, "ns", "NS", 1), strings.Replace(right, "{", "{0", 1),
		strings.TrimSuffix(right, "l") + "q", strings.TrimSuffix(right, "l") + "w", b.shards[0] + "t", b.shards[0] + ":l", "x" + right,
	} {
		if key, ok := b.keyOf(name); ok {
			t.Errorf("keyOf(%q) = %q", name, key)
		}
	}
}

// On a Cluster a lock's slot is that of its key, as far as a hash tag goes, and there is no other way to read a name.
func TestKeyOfInCluster(t *testing.T) {
	b := &backend{names: newNames("ns:a", "me")}
	b.tagged = true
	keys := []string{"a", "a:l", ":l", "}", "{", "{}", "}:l", "a}:l", "{0}:t", "ns:a:{0}:l", "a\nb\x00", "ü*?[]\\", strings.Repeat("x", driver.MaxKeyLen)}
	seen := map[string]bool{}
	for _, key := range keys {
		name := b.lockKey(key)
		if got, ok := b.keyOf(name); !ok || got != key || seen[name] {
			t.Errorf("keyOf(lockKey(%q)) = %q, %v", key, got, ok)
		}
		seen[name] = true
	}
	if tag, _, ok := strings.Cut("b}c", "}"); ok && cluster.Slot(b.lockKey("b}c")) != cluster.Slot(tag) {
		t.Error("the slot of a key with a } is not that of what is before it")
	}
	for _, name := range []string{"", "ns:a:{}:l", "ns:a:{a}:t", "ns:a:{a:l", "ns:a:a}:l", "ns:{a}:l", "ns:a:b:{a}:l", "xns:a:{a}:l", "ns:a:{a}:lx"} {
		if key, ok := b.keyOf(name); ok {
			t.Errorf("keyOf(%q) = %q", name, key)
		}
	}
	for prefix, want := range map[string]string{"": "ns:a:{*}:l", "a/": "ns:a:{a/*}:l", "a}b}": "ns:a:{a?b?*}:l", "*{": "ns:a:{?{*}:l"} {
		if got := b.pattern(prefix); got != want {
			t.Errorf("pattern(%q) = %q, want %q", prefix, got, want)
		}
	}
}

func TestGlob(t *testing.T) {
	for prefix, want := range map[string]string{
		"": "", "a/b-^c": "a/b-^c", `*?[a]\`: "???a??", "ü": "ü", "a\xc3": "a", "\xff*": "", "a�b": "a�b",
	} {
		if got := glob(prefix); got != want {
			t.Errorf("glob(%q) = %q, want %q", prefix, got, want)
		}
	}
}

// A cursor comes back as it was, and nothing that no page has had is one.
func TestScanCursor(t *testing.T) {
	for _, c := range []scanCursor{
		{},
		{server: 1},
		{server: 1<<64 - 1, found: []string{"p"}},
		{found: []string{"p,", "p\x00\n", "p" + strings.Repeat("x", driver.MaxKeyLen-1)}},
		{stamp: "0123456789abcdef", node: 2},
		{stamp: "0123456789abcdef", node: 0, server: 7, found: []string{"p.1"}},
	} {
		got, err := parseCursor("p", c.String())
		if err != nil || got.server != c.server || got.stamp != c.stamp || got.node != c.node || !slices.Equal(got.found, c.found) {
			t.Errorf("%q: %+v, %v; want %+v", c.String(), got, err, c)
		}
	}
	long := scanCursor{found: []string{strings.Repeat("p", driver.MaxKeyLen+1)}}
	for _, text := range []string{
		"0", "00", "+1", "-1", "x", " 1", "1,", ",", "1,cA,", "1,c", "1,?", "18446744073709551616", "s.1", "s.1.", "s.x.1", "s.-1.1", "s.01.1", ".1.1", "s.1.1.1", scanCursor{found: []string{"q"}}.String(), long.String(),
	} {
		if c, err := parseCursor("p", text); !errors.Is(err, driver.ErrInvalid) {
			t.Errorf("%.30q: %+v, %v; want ErrInvalid", text, c, err)
		}
	}
}
