// Package address reads what the URLs of backends have in common: a list of hosts,
// parameters that must be known, certificates. Its errors wrap driver.ErrInvalid, name
// the part that is wrong and the cure, and never have the URL, which may hold a password.
package address

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/internal/nearest"
)

// Invalid makes the error of a wrong part of a URL.
func Invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", driver.ErrInvalid, fmt.Errorf(format, args...))
}

// Namespace says what is wrong with a namespace, or returns "". A good one has 1 to 64 characters, which are letters,
// digits or in others.
func Namespace(ns, others string) string {
	const usual = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	switch {
	case ns == "":
		return "it is empty"
	case len(ns) > 64:
		return "it has more than 64 characters"
	case strings.ContainsFunc(ns, func(c rune) bool { return !strings.ContainsRune(usual+others, c) }):
		return "it may have letters, digits and " + strings.Join(strings.Split(others, ""), " ") + " only"
	}
	return ""
}

// Hosts returns the hosts of the URL, which are separated by commas, as host:port. A host
// without a port gets the usual one.
func Hosts(u *url.URL, usualPort string) (hosts []string, err error) {
	if u.Host == "" {
		return nil, Invalid("the host is missing: write %s://host:%s, or several with commas", u.Scheme, usualPort)
	}
	for one := range strings.SplitSeq(u.Host, ",") {
		if strings.HasSuffix(one, ":") || strings.Count(one, ":") > 1 && !strings.HasPrefix(one, "[") {
			return nil, Invalid("host %q: want name:port, or [address]:port for IPv6", one)
		}
		part := url.URL{Host: one}
		host, port := part.Hostname(), part.Port()
		if _, text, ok := strings.Cut(one, ":"); ok && !strings.HasPrefix(one, "[") {
			host, port = strings.TrimSuffix(one, ":"+text), text // also one that is no number
		}
		if port == "" {
			port = usualPort
		}
		if host == "" {
			return nil, Invalid("a host in the list is empty: write %s://h1:%s,h2:%s", u.Scheme, usualPort, usualPort)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, Invalid("port %q: want a number from 1 to 65535", port)
		}
		hosts = append(hosts, net.JoinHostPort(host, port))
	}
	return hosts, nil
}

// tokenBase is a parameter of any URL: fencelock.Open takes it out before a backend sees it.
const tokenBase = "token_base"

// Params returns the query's parameters. It refuses an unknown one, and one that
// is given twice.
func Params(u *url.URL, known ...string) (url.Values, error) {
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, Invalid("the query of the URL cannot be parsed: write ?name=value&name=value, with special characters percent-encoded")
	}
	for _, name := range slices.Sorted(maps.Keys(q)) { // the first by name, always
		values := q[name]
		switch {
		case name == tokenBase:
			return nil, Invalid("query parameter %q is of URLs for fencelock.Open: this backend adds to no token", name)
		case !slices.Contains(known, name):
			all := append(slices.Clone(known), tokenBase)
			return nil, Invalid("unknown query parameter %q%s: known are %s", name, meant(u.Scheme, name, all), strings.Join(all, ", "))
		case len(values) > 1:
			return nil, Invalid("query parameter %q is given twice", name)
		}
	}
	return q, nil
}

// secured maps each scheme without TLS to the one with.
var secured = map[string]string{"redis": "rediss", "redlock": "redlocks", "etcd": "etcds", "zookeeper": "zookeepers"}

// elsewhere maps a parameter to the schemes that have it.
var elsewhere = map[string]string{
	"durable": "redis://", "max_ttl": "redlock://", "token": "redlock://", "password_file": "redis://, redlock:// and etcd://", "acl": "zookeeper://", "proxy": "etcd://",
	"id": "raft://", "peers": "raft://", "listen": "raft://", "join": "raft://", "cluster": "raft://", "insecure": "raft://", "group": "raft://",
}

// meant says, after a comma, what an unknown parameter was meant to be, perhaps.
func meant(scheme, name string, known []string) string {
	lower := strings.ToLower(name)
	asksTLS := slices.Contains([]string{"tls", "ssl", "sslmode"}, lower)
	switch aboutTLS := asksTLS || slices.Contains(TLSParams(), lower); {
	case aboutTLS && secured[scheme] != "":
		return fmt.Sprintf(", which is for TLS (write %s://)", secured[scheme])
	case aboutTLS && scheme == "unix":
		return ", which is for TLS (a socket has none)"
	case asksTLS && kindOf(scheme) != scheme:
		return fmt.Sprintf(", which %s:// says already", scheme)
	case slices.Contains([]string{"ttl", "timeout", "expiry", "lease"}, lower):
		return ", which is no part of the URL (Options.TTL is how long a lock outlives its holder; a context is how long to wait)"
	case slices.Contains([]string{"user", "username", "password", "pass", "auth"}, lower):
		return fmt.Sprintf(", which is written before the host (%s://user:password@host)", scheme)
	case lower == "db" && scheme != "unix" && serverOf(scheme) == "redis":
		return fmt.Sprintf(", which is written as the path (%s://host/1)", scheme)
	case lower == "chroot" && strings.HasPrefix(scheme, "zookeeper"):
		return fmt.Sprintf(", which is written as the path (%s://host/apps/billing)", scheme)
	case slices.Contains([]string{"chroot", "prefix", "ns"}, lower):
		return ", for which there is namespace="
	}
	if near := nearest.Word(name, known); near != "" {
		return fmt.Sprintf(", for %s= perhaps", near)
	}
	if where := elsewhere[lower]; where != "" {
		return fmt.Sprintf(", which is one of %s and not of %s://", where, scheme)
	}
	return ""
}

// Password reads the file of password_file=. The file may be replaced while the program
// runs, so read it for each login. Line ends after the password, which editors and echo add,
// are not part of it. An empty file is an error: it is just being written, perhaps.
func Password(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("password_file=: %w", err)
	}
	password := bytes.TrimRight(text, "\r\n")
	if len(password) == 0 {
		return "", fmt.Errorf("password_file=%s: it is empty", file)
	}
	return string(password), nil
}
