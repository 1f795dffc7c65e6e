package redis

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

func init() {
	for _, scheme := range []string{"redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster"} {
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

	// Wait is how many replicas must have a lock before Lock or TryLock returns it: see the package comment. It
	// needs the command WAIT, which some managed services do not have: New says so.
	Wait int

	// Logger gets what an operator should know and no call returns: that the server cannot be
	// reached, and that it can again. slog.Default() if nil. Only for New; Open has the one of
	// fencelock.Options.
	Logger *slog.Logger
}

// Open connects to the server that u names; see the package comment for the form
// of the URL. It is what fencelock.Open calls.
func Open(ctx context.Context, u *url.URL, o driver.OpenOptions) (driver.Backend, error) {
	log := o.Log("redis")
	switch u.Scheme {
	case "redis+sentinel", "rediss+sentinel":
		return openBySentinels(ctx, u, log)
	case "redis+cluster", "rediss+cluster":
		return openCluster(ctx, u, log)
	}
	conf, opts, certificates, err := parseURL(u, log)
	if err != nil {
		return nil, err
	}
	ctx, w := address.NewWatch(ctx, u.Scheme, address.Server{Network: conf.Network, Addr: conf.Addr, Certificates: certificates})
	bounded, cancel := context.WithTimeoutCause(ctx, openTimeout, errNotOpened)
	defer cancel()
	opts.Logger = log
	b, err := open(bounded, opts, oneServer(conf))
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

// New makes a backend that connects to the server, or the Cluster, as client does, an application's own:
// by the same dialer, so with its TLS or proxy, as the same user, in the same
// database, with the same OnConnect. Credentials are asked for again for each connection
// where the client has a function for them. opts may be nil.
//
// The connections are the backend's own, a dozen to a server at the most: an application that uses up
// its pool delays no renewal. So nothing else of the client applies to them, neither its
// time-outs, retries, limits of its pool, Limiter and client-side cache, nor its hooks;
// and neither is closed with the other.
//
// client is a *redis.Client of one server or a *redis.ClusterClient. New refuses a *redis.Ring, and other types,
// since it cannot know where those connect to. For Sentinels there is [NewFailover].
func New(ctx context.Context, client goredis.UniversalClient, opts *Options) (driver.Backend, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	o.Logger = driver.OpenOptions{Logger: o.Logger}.Log("redis")
	if c, ok := client.(*goredis.ClusterClient); ok {
		conf, err := clusterOf(c, o.Logger)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeoutCause(ctx, openTimeout, errNotOpened)
		defer cancel()
		return open(ctx, o, inCluster(conf))
	}
	conf, err := node.OptionsOf("the client", client)
	if err != nil {
		return nil, err
	}
	if conf.Addr == "FailoverClient" { // what go-redis writes there
		return nil, address.Invalid("the client is one of redis.NewFailoverClient, which does not tell its Sentinels: give its options to NewFailover")
	}
	return open(ctx, o, oneServer(conf))
}
