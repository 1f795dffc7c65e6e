package fencelock

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/fencelock/fencelock/driver"
)

// Opener connects to the server that a URL names. It refuses query parameters
// that it does not know, by name, understands namespace=, and never puts the URL
// or a part of it that may be secret into an error.
type Opener func(ctx context.Context, u *url.URL) (driver.Backend, error)

var registry struct {
	mu      sync.RWMutex
	schemes map[string]Opener
}

// Register makes a URL scheme known to [Open]. Backends call it from an init
// function, so that a blank import is enough. It panics if the scheme is empty,
// not in lower case, or taken.
func Register(scheme string, o Opener) {
	if scheme == "" || scheme != strings.ToLower(scheme) || o == nil {
		panic(fmt.Sprintf("fencelock: Register(%q): want a scheme in lower case and an Opener", scheme))
	}
	registry.mu.Lock()
	defer registry.mu.Unlock()
	if registry.schemes == nil {
		registry.schemes = make(map[string]Opener)
	}
	if _, taken := registry.schemes[scheme]; taken {
		panic(fmt.Sprintf("fencelock: Register(%q): the scheme is registered already", scheme))
	}
	registry.schemes[scheme] = o
}

// Open connects to the server that rawURL names, and checks that it can do what
// opts ask for. The scheme chooses the backend, whose package must have been
// imported:
//
//	import _ "github.com/fencelock/fencelock/backend/redis"
//
// ctx bounds the opening only. Errors never show the URL, since it may hold a
// password. opts may be nil.
func Open(ctx context.Context, rawURL string, opts *Options) (*Client, error) {
	fail := func(kind, err error) (*Client, error) {
		return nil, &Error{Op: "open", Kind: kind, Err: err}
	}
	u, err := parseURL(rawURL)
	if err != nil {
		// err quotes the URL, and with it the password: say nothing of it.
		return fail(ErrInvalid, errors.New("the URL cannot be parsed: write it like redis://user:password@host:6379, "+
			"with special characters in user and password percent-encoded"))
	}
	registry.mu.RLock()
	opener := registry.schemes[u.Scheme]
	known := registeredLocked()
	registry.mu.RUnlock()
	switch {
	case u.Scheme == "" || u.Opaque != "":
		return fail(ErrInvalid, fmt.Errorf("the URL has no scheme://: write it like redis://host:6379 (registered: %s)", known))
	case opener == nil:
		return fail(ErrInvalid, fmt.Errorf("unknown URL scheme %q (registered: %s): import the package of its backend, "+
			"such as _ \"github.com/fencelock/fencelock/backend/redis\"", u.Scheme, known))
	}
	var o Options
	if opts != nil {
		o = *opts
	}
	if err := mergeNamespace(u, &o); err != nil {
		return fail(ErrInvalid, err)
	}
	b, err := opener(ctx, u)
	if err != nil {
		return fail(nil, err)
	}
	c, err := New(b, &o)
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	return c, nil
}

// parseURL is url.Parse for URLs that may name several hosts, like
// etcd://h1:2379,h2,[::1]:2379/x. url.Parse takes such a list as one host, and
// only as long as it looks like one.
func parseURL(rawURL string) (*url.URL, error) {
	scheme, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		return url.Parse(rawURL)
	}
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = i
	}
	start := strings.LastIndexByte(rest[:end], '@') + 1
	hosts := rest[start:end]
	if !strings.Contains(hosts, ",") {
		return url.Parse(rawURL)
	}
	if strings.ContainsAny(hosts, " %\"<>\\^`{|}") {
		return nil, errors.New("a host has a character that hosts do not have")
	}
	u, err := url.Parse(scheme + "://" + rest[:start] + "hosts" + rest[end:])
	if err == nil {
		u.Host = hosts
	}
	return u, err
}

func registeredLocked() string {
	names := make([]string, 0, len(registry.schemes))
	for s := range registry.schemes {
		names = append(names, s)
	}
	slices.Sort(names)
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// mergeNamespace moves Options.Namespace into the URL, where backends look.
func mergeNamespace(u *url.URL, o *Options) error {
	if o.Namespace == "" {
		return nil
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return errors.New("the URL's query cannot be parsed")
	}
	if q.Has("namespace") && q.Get("namespace") != o.Namespace {
		return fmt.Errorf("Options.Namespace is %q, and the URL says namespace=%q: set one of them", o.Namespace, q.Get("namespace"))
	}
	q.Set("namespace", o.Namespace)
	u.RawQuery = q.Encode()
	o.Namespace = ""
	return nil
}
