package redis

import (
	"context"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

func init() {
	for _, scheme := range []string{"redis", "rediss", "unix"} {
		fencelock.Register(scheme, Open)
	}
}

// Options configure a backend made by [New]. Nil and zero fields mean the
// defaults.
type Options struct {
	// Namespace is what the names of all keys and channels begin with: 1 to 64
	// letters, digits and . _ : - characters. "fencelock" if empty. Clients that are
	// to exclude each other have the same.
	Namespace string

	// Durable makes New fail unless the server keeps every grant and token
	// through a crash: append-only file on, appendfsync always,
	// no-appendfsync-on-rewrite no, and nothing evicted.
	Durable bool

	// Logger gets what an operator should know and no call returns: that the server cannot be
	// reached, and that it can again. slog.Default() if nil. Only for New; Open has the one of
	// fencelock.Options.
	Logger *slog.Logger
}

// Open connects to the server that u names; see the package comment for the form
// of the URL. It is what fencelock.Open calls.
func Open(ctx context.Context, u *url.URL, o driver.OpenOptions) (driver.Backend, error) {
	log := o.Log("redis")
	conf, opts, certificates, err := parseURL(u, log)
	if err != nil {
		return nil, err
	}
	ctx, w := address.NewWatch(ctx, u.Scheme, address.Server{Network: conf.Network, Addr: conf.Addr, Certificates: certificates})
	bounded, cancel := context.WithTimeoutCause(ctx, openTimeout, errNotOpened)
	defer cancel()
	opts.Logger = log
	b, err := open(bounded, conf, opts)
	if err != nil {
		err = node.Endpoint{Scheme: u.Scheme, Network: conf.Network, Addr: conf.Addr}.Explain(ctx, err)
	}
	if err = w.End(err); err != nil {
		return nil, err
	}
	return b, nil
}

// openTimeout bounds Open. Connecting may take a few round trips, each of which has less time.
const openTimeout = 5 * time.Second

// New makes a backend that connects to the server as client does, an application's own:
// by the same dialer, so with its TLS, proxy or Sentinels, as the same user, in the same
// database, with the same OnConnect. Credentials are asked for again for each connection
// where the client has a function for them. opts may be nil.
//
// The connections are the backend's own, a dozen at the most: an application that uses up
// its pool delays no renewal. So nothing else of the client applies to them, neither its
// time-outs, retries, limits of its pool, Limiter and client-side cache, nor its hooks;
// and neither is closed with the other.
//
// New refuses a *redis.ClusterClient and a *redis.Ring, and other types, since it cannot know where
// those connect to.
func New(ctx context.Context, client goredis.UniversalClient, opts *Options) (driver.Backend, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	conf, err := node.OptionsOf("the client", client)
	if err != nil {
		return nil, err
	}
	o.Logger = driver.OpenOptions{Logger: o.Logger}.Log("redis")
	return open(ctx, conf, o)
}

// The query parameters of each kind of URL.
var (
	commonParams = []string{"namespace", "durable", "password_file"}
	unixParams   = append([]string{"db"}, commonParams...)
	tlsParams    = append(address.TLSParams(), commonParams...)
)

// parseURL also returns the certificates for the connections, which are nil without TLS.
func parseURL(u *url.URL, log *slog.Logger) (conf goredis.Options, opts Options, certificates *address.Certificates, err error) {
	conf = node.BaseOptions()
	known := commonParams
	switch u.Scheme {
	case "unix":
		known = unixParams
	case "rediss":
		known = tlsParams
	}
	q, err := address.Params(u, known...)
	switch {
	case err != nil:
	case u.Scheme == "unix":
		err = parseUnix(u, q, &conf)
	default:
		certificates, err = parseTCP(u, q, &conf, log)
	}
	if err == nil {
		err = node.ParseLogin(u, q, &conf, log)
	}
	if err == nil {
		opts, err = parseCommon(q)
	}
	return conf, opts, certificates, err
}

func parseCommon(q url.Values) (o Options, err error) {
	if q.Has("namespace") {
		o.Namespace = q.Get("namespace")
		if why := node.CheckNamespace(o.Namespace); why != "" {
			return o, address.Invalid("namespace=%q: %s", o.Namespace, why)
		}
	}
	if q.Has("durable") {
		if o.Durable, err = strconv.ParseBool(q.Get("durable")); err != nil {
			return o, address.Invalid("durable=%q: write true or false", q.Get("durable"))
		}
	}
	return o, nil
}

func parseUnix(u *url.URL, q url.Values, conf *goredis.Options) (err error) {
	if u.Host != "" || len(u.Path) < 2 {
		return address.Invalid("the path of the socket is missing: write unix:///run/redis.sock, with three slashes")
	}
	conf.Network, conf.Addr, conf.Dialer = "unix", u.Path, node.Dialer(nil, "")
	conf.DB, err = node.ParseDB("db=", q.Get("db"))
	return err
}

func parseTCP(u *url.URL, q url.Values, conf *goredis.Options, log *slog.Logger) (certificates *address.Certificates, err error) {
	hosts, err := address.Hosts(u, "6379")
	if err != nil {
		return nil, err
	}
	if len(hosts) > 1 {
		return nil, address.Invalid("the URL names several hosts; this backend takes one server")
	}
	conf.Network, conf.Addr = "tcp", hosts[0]
	if conf.DB, err = node.ParseDB("database /", strings.TrimPrefix(u.Path, "/")); err != nil {
		return nil, err
	}
	if u.Scheme == "rediss" {
		if certificates, err = address.TLS(q, log); err != nil {
			return nil, err
		}
	}
	conf.Dialer = node.Dialer(certificates, u.Hostname())
	return certificates, nil
}
