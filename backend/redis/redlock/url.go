package redlock

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver/address"
)

// The query parameters that a URL may have.
var (
	commonParams = []string{"namespace", "max_ttl", "token", "password_file"}
	tlsParams    = append(address.TLSParams(), commonParams...)
)

// target is where one connection leads.
type target struct {
	name  string // of the node, for people
	conf  goredis.Options
	watch func(context.Context) (context.Context, func(error) error) // explains why an opening fails; may be nil
}

func parseURL(u *url.URL, log *slog.Logger) (targets []target, opts Options, err error) {
	known := commonParams
	if u.Scheme == "redlocks" {
		known = tlsParams
	}
	q, err := address.Params(u, known...)
	if err != nil {
		return nil, opts, err
	}
	hosts, err := parseHosts(u)
	if err != nil {
		return nil, opts, err
	}
	if opts, err = parseOptions(q); err != nil {
		return nil, opts, err
	}
	conf := node.BaseOptions()
	conf.Network = "tcp"
	if conf.DB, err = node.ParseDB("database /", strings.TrimPrefix(u.Path, "/")); err != nil {
		return nil, opts, err
	}
	if err = node.ParseLogin(u, q, &conf, log); err != nil {
		return nil, opts, err
	}
	var certificates *address.Certificates
	if u.Scheme == "redlocks" {
		if certificates, err = address.TLS(q, log); err != nil {
			return nil, opts, err
		}
	}
	for _, host := range hosts {
		t := target{name: host, conf: conf}
		name, _, _ := net.SplitHostPort(host)
		t.conf.Addr, t.conf.Dialer = host, node.Dialer(certificates, name)
		t.watch = watch(u.Scheme, address.Server{Network: "tcp", Addr: host, Certificates: certificates})
		targets = append(targets, t)
	}
	return targets, opts, nil
}

// parseHosts also refuses how many there are.
func parseHosts(u *url.URL) ([]string, error) {
	hosts, err := address.Hosts(u, "6379")
	if err != nil {
		return nil, err
	}
	if why := checkNumber(len(hosts)); why != "" {
		return nil, address.Invalid("the URL names %d hosts: %s", len(hosts), why)
	}
	for i, host := range hosts {
		if slices.Contains(hosts[:i], host) {
			return nil, address.Invalid("the URL names the host %s twice: each node is a server of its own", host)
		}
	}
	return hosts, nil
}

// checkNumber says what is wrong with how many nodes there are, or nothing.
func checkNumber(n int) string {
	switch {
	case n == 1:
		return "a lock is kept on a majority of 3, 5 or 7; for a single server write redis://"
	case n < 1 || n > 7:
		return "a lock is kept on a majority of 3, 5 or 7; each lock asks all of them, so that more would make it slower and hardly safer"
	case n%2 == 0:
		return fmt.Sprintf("write 3, 5 or 7. A majority of %d is %d, so that %d may fail, as of %d: one more is one more that can fail, and helps nobody",
			n, n/2+1, n-n/2-1, n-1)
	}
	return ""
}

func parseOptions(q url.Values) (o Options, err error) {
	if q.Has("namespace") {
		o.Namespace = q.Get("namespace")
		if why := node.CheckNamespace(o.Namespace); why != "" {
			return o, address.Invalid("namespace=%q: %s", o.Namespace, why)
		}
	}
	if q.Has("max_ttl") {
		if o.MaxTTL, err = time.ParseDuration(q.Get("max_ttl")); err != nil {
			return o, address.Invalid("max_ttl=%q: write a time such as 1m or 90s", q.Get("max_ttl"))
		}
		if why := checkMaxTTL(o.MaxTTL); why != "" {
			return o, address.Invalid("max_ttl=%s: %s", q.Get("max_ttl"), why)
		}
	}
	if q.Has("token") {
		token, err := strconv.ParseBool(q.Get("token"))
		if err != nil {
			return o, address.Invalid("token=%q: write true or false", q.Get("token"))
		}
		o.Tokenless = !token
	}
	return o, nil
}

const (
	minTTL   = 100 * time.Millisecond
	minLimit = time.Second
	maxLimit = 24 * time.Hour
)

// checkMaxTTL says what is wrong with a longest TTL, or nothing.
func checkMaxTTL(ttl time.Duration) string {
	switch {
	case ttl < minLimit || ttl > maxLimit:
		return fmt.Sprintf("it is from %v to %v", minLimit, maxLimit)
	case ttl%time.Millisecond != 0:
		return "it has whole milliseconds"
	}
	return ""
}

// watch goes along with the first look at a server, for its error to say why it fails.
func watch(scheme string, server address.Server) func(context.Context) (context.Context, func(error) error) {
	place := node.Endpoint{Scheme: scheme, Network: server.Network, Addr: server.Addr}
	return func(ctx context.Context) (context.Context, func(error) error) {
		watched, w := address.NewWatch(ctx, scheme, server)
		return watched, func(err error) error {
			if err != nil {
				err = place.Explain(watched, err)
			}
			return w.End(err)
		}
	}
}

// parseRaw is url.Parse for a URL with several hosts, which url.Parse takes for one with a wrong port.
// Its error does not quote the URL, which may hold a password.
func parseRaw(raw string) (*url.URL, error) {
	scheme, rest, _ := strings.Cut(strings.TrimSpace(raw), "://")
	if scheme != "redlock" && scheme != "redlocks" {
		return nil, address.Invalid("the URL begins with redlock:// or redlocks://")
	}
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = i
	}
	start := strings.LastIndexByte(rest[:end], '@') + 1
	hosts := rest[start:end]
	u, err := url.Parse(scheme + "://" + rest[:start] + "hosts" + rest[end:])
	if err != nil || strings.ContainsAny(hosts, " %\"<>\\^`{|}") {
		return nil, address.Invalid("%w", errors.New("the URL cannot be parsed: write redlock://user:password@h1:6379,h2:6379,h3:6379, "+
			"with special characters of user and password percent-encoded (/ is %2F, @ is %40)"))
	}
	u.Host = hosts
	return u, nil
}
