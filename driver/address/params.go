package address

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/fencelock/fencelock/internal/nearest"
)

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
var secured = map[string]string{
	"redis": "rediss", "redis+sentinel": "rediss+sentinel", "redis+cluster": "rediss+cluster", "redlock": "redlocks", "etcd": "etcds", "zookeeper": "zookeepers",
}

// elsewhere maps a parameter to the schemes that have it.
var elsewhere = map[string]string{
	"durable": "redis://", "max_ttl": "redlock://", "token": "redlock://", "password_file": "redis://, redlock:// and etcd://", "acl": "zookeeper://", "proxy": "etcd://",
	"sentinel_user": "redis+sentinel://", "sentinel_password": "redis+sentinel://", "sentinel_password_file": "redis+sentinel://",
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
	case lower == "db" && kindOf(scheme) == "redis+sentinel":
		return fmt.Sprintf(", which is written after the name of the master (%s://s1,s2,s3/mymaster/1)", scheme)
	case lower == "db" && kindOf(scheme) == "redis+cluster":
		return ", of which a Cluster has one"
	case lower == "master" || lower == "master_name" || lower == "mastername":
		return ", which is the path of redis+sentinel:// (redis+sentinel://s1,s2,s3/mymaster)"
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
