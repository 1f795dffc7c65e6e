package etcd

import (
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/fencelock/fencelock/backend/etcd/internal/login"
)

func TestURL(t *testing.T) {
	for _, test := range []struct {
		host, path, query string
		endpoints         []string
		namespace         string
	}{
		{"h", "", "", []string{"http://h:2379"}, "fencelock"},
		{"h1:1,h2,h3:3", "/a/b", "", []string{"http://h1:1", "http://h2:2379", "http://h3:3"}, "a/b"},
		{"[::1]:5,[::2]", "", "namespace=x", []string{"http://[::1]:5", "http://[::2]:2379"}, "x"},
		{"h", "/x", "namespace=x", []string{"http://h:2379"}, "x"},
	} {
		u := &url.URL{Scheme: "etcd", User: url.UserPassword("u", "p/@"), Host: test.host, Path: test.path, RawQuery: test.query}
		to, err := parseURL(u, slog.Default())
		if err != nil || !slices.Equal(to.conf.Endpoints, test.endpoints) || to.opts.Namespace != test.namespace {
			t.Errorf("%v: %v, %q, %v", u.Redacted(), to.conf.Endpoints, to.opts.Namespace, err)
		}
		if to.name != "u" || to.password != (login.Password{Fixed: "p/@"}) {
			t.Errorf("%v: user %q and password %q", u.Redacted(), to.name, to.password)
		}
	}
	if to, err := parseURL(&url.URL{Scheme: "etcds", Host: "h"}, slog.Default()); err != nil || to.conf.Endpoints[0] != "https://h:2379" {
		t.Errorf("etcds: %+v, %v", to.conf.Endpoints, err)
	}
}

// TestPrefixes takes locks whose names might be taken for parts of each other's
// keys.
func TestPrefixes(t *testing.T) {
	seen := make(map[string]string)
	for _, key := range []string{"a", "a/", "a/b", "/", "//", "%2F", "a%2Fb", "..", "\x00", "a\x00", " ", "ü", "u\u0308"} {
		prefix := namespace("ns").prefix(key)
		for other, of := range seen {
			if strings.HasPrefix(other, prefix) || strings.HasPrefix(prefix, other) {
				t.Errorf("the claims of %q and of %q are below %q and %q", key, of, prefix, other)
			}
		}
		seen[prefix] = key
	}
}
