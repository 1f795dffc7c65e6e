package zookeeper

import (
	"strings"
	"testing"
)

func TestEscapeIsInjective(t *testing.T) {
	keys := []string{
		"a", "A", "a/b", "a%2Fb", "/", "//", "%2F", "%2f", ".", "..", "%2E", "%2E%2E", "%2e", "...", "./", "a.", " ", "+", "%20", "\x00", "%00", "\n",
		"é", "e\u0301", "\ufeff", "\uf000", "#", "a#0000000001", "zookeeper", strings.Repeat("k", 1024), strings.Repeat("é", 512),
	}
	seen := make(map[string]string)
	for _, key := range keys {
		path := escape(key)
		if other, taken := seen[path]; taken {
			t.Errorf("%q and %q both become %q", key, other, path)
		}
		seen[path] = key
		if path == "" || path == "." || path == ".." || strings.ContainsFunc(path, func(c rune) bool { return c <= ' ' || c > '~' || c == '/' }) {
			t.Errorf("%q becomes %q, which is no name of a node", key, path)
		}
		if back, ok := unescape(path); !ok || back != key {
			t.Errorf("%q becomes %q, and that %q, %v", key, path, back, ok)
		}
	}
}

// TestUnescapeForeignNames: a node that escape does not make is no key's.
func TestUnescapeForeignNames(t *testing.T) {
	for _, node := range []string{"", ".", "..", "%2e", "%41", "%", "%zz", "%FF", "a b", "é", strings.Repeat("k", 1025)} {
		if key, ok := unescape(node); ok {
			t.Errorf("%q is taken for the key %q", node, key)
		}
	}
}

func TestCheckNamespace(t *testing.T) {
	for _, ok := range []string{"fencelock", "a", "A.b_c:d-9", strings.Repeat("n", 64), "...a"} {
		if why := checkNamespace(ok); why != "" {
			t.Errorf("%q: %s", ok, why)
		}
	}
	for _, bad := range []string{"", ".", "..", "zookeeper", "a/b", "a b", "ä", "a%", strings.Repeat("n", 65)} {
		if checkNamespace(bad) == "" {
			t.Errorf("%q is taken", bad)
		}
	}
}

func TestCheckChroot(t *testing.T) {
	for _, ok := range []string{"", "/a", "/a/b.c/日本"} {
		if why := checkChroot(ok); why != "" {
			t.Errorf("%q: %s", ok, why)
		}
	}
	for _, bad := range []string{"/", "a", "/a/", "//a", "/a//b", "/.", "/a/..", "/a\x00", "/\u0085", "/\ue000"} {
		if checkChroot(bad) == "" {
			t.Errorf("%q is taken", bad)
		}
	}
}
