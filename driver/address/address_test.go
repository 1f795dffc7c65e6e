package address_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver/address"
)

func TestHosts(t *testing.T) {
	for host, want := range map[string][]string{
		"h":                  {"h:1234"},
		"h:1":                {"h:1"},
		"h1:1,h2,h3:65535":   {"h1:1", "h2:1234", "h3:65535"},
		"[::1],[fe80::1]:7":  {"[::1]:1234", "[fe80::1]:7"},
		"127.0.0.1,10.0.0.1": {"127.0.0.1:1234", "10.0.0.1:1234"},
	} {
		if got, err := address.Hosts(&url.URL{Scheme: "x", Host: host}, "1234"); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %v, %v", host, got, err)
		}
	}
	for host, word := range map[string]string{
		"": "host", ",": "empty", "h,": "empty", ":1": "empty", "h:": "name:port", "::1": "IPv6", "h:0": "port", "h:65536": "port", "h:x": "port",
	} {
		_, err := address.Hosts(&url.URL{Scheme: "x", Host: host}, "1234")
		refused(t, host, word, err)
	}
}

func TestParams(t *testing.T) {
	q, err := address.Params(&url.URL{RawQuery: "a=1&b="}, "a", "b", "c")
	if err != nil || q.Get("a") != "1" || !q.Has("b") || q.Has("c") {
		t.Errorf("got %v, %v", q, err)
	}
	for query, word := range map[string]string{"d=1": `"d": known are a, token_base`, "tokenbase=1": "for token_base= perhaps", "token_base=1": "fencelock.Open", "a=1&a=1": "twice", "a=%zz": "query"} {
		_, err := address.Params(&url.URL{RawQuery: query, User: url.UserPassword("u", "secret")}, "a")
		refused(t, query, word, err)
	}
}

func TestNamespace(t *testing.T) {
	for ns, word := range map[string]string{
		"": "empty", strings.Repeat("a", 65): "64", "a/b": "_ : -", "a b": "letters", "ü": "letters", "a\x00": "digits",
		"aZ09._:-": "", strings.Repeat("a", 64): "",
	} {
		if why := address.Namespace(ns, "._:-"); !strings.Contains(why, word) || (why == "") != (word == "") {
			t.Errorf("%q: %q, want %q in it", ns, why, word)
		}
	}
	if why := address.Namespace("a/b", "._:-/"); why != "" {
		t.Errorf("a/b: %q", why)
	}
}

func refused(t *testing.T, what, word string, err error) {
	t.Helper()
	if !errors.Is(err, fencelock.ErrInvalid) || !strings.Contains(err.Error(), word) || strings.Contains(err.Error(), "secret") {
		t.Errorf("%q: %v, want one that wraps ErrInvalid and names %s", what, err, word)
	}
}
