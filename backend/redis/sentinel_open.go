package redis

import (
	"context"
	"log/slog"
	"net"
	"net/url"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/backend/redis/internal/sentinel"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/address"
)

// openBySentinels is Open for a URL of Sentinels.
func openBySentinels(ctx context.Context, u *url.URL, log *slog.Logger) (driver.Backend, error) {
	conf, c, opts, certificates, err := parseSentinelURL(u, log)
	if err != nil {
		return nil, err
	}
	opts.Logger = log
	c.Explain = func(ctx context.Context, addr string, err error) error {
		ctx, w := address.NewWatch(ctx, u.Scheme, address.Server{Network: "tcp", Addr: addr, Certificates: certificates})
		return w.End(node.Endpoint{Scheme: u.Scheme, Network: "tcp", Addr: addr}.Explain(ctx, err))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, openTimeout, errNotOpened)
	defer cancel()
	return open(ctx, opts, masterOf(conf, c))
}

// NewFailover makes a backend for the master that the Sentinels of client's options name, and for the one that
// they name after it. Give it the options of redis.NewFailoverClient: a client that was made with them does not
// tell its Sentinels. opts may be nil.
//
// It connects to the Sentinels and to the master as such a client does: by the same Dialer or TLSConfig, with the
// same logins, in the same database, with the same OnConnect and ClientName. Credentials are asked for again
// for each connection where there is a function for them. It applies nothing else of the options: see [New].
func NewFailover(ctx context.Context, client *goredis.FailoverOptions, opts *Options) (driver.Backend, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	conf, c, err := followFailover(client)
	if err != nil {
		return nil, err
	}
	o.Logger = driver.OpenOptions{Logger: o.Logger}.Log("redis")
	ctx, cancel := context.WithTimeoutCause(ctx, openTimeout, errNotOpened)
	defer cancel()
	return open(ctx, o, masterOf(conf, c))
}

// followFailover makes options for connections to the master, and to the Sentinels, of those of an application.
func followFailover(f *goredis.FailoverOptions) (conf goredis.Options, c sentinel.Config, err error) {
	if err := checkFailover(f); err != nil {
		return conf, c, err
	}
	dialer := f.Dialer
	if dialer == nil {
		var certificates *address.Certificates
		if f.TLSConfig != nil {
			certificates = address.CertificatesOf(f.TLSConfig)
		}
		dialer = node.Dialer(certificates, "")
	}
	if conf, err = connectLike(&goredis.Options{
		Dialer: dialer, OnConnect: f.OnConnect, ClientName: f.ClientName, DB: f.DB, Username: f.Username, Password: f.Password,
		CredentialsProvider: f.CredentialsProvider, CredentialsProviderContext: f.CredentialsProviderContext,
		StreamingCredentialsProvider: f.StreamingCredentialsProvider,
	}); err != nil {
		return conf, c, err
	}
	c.Name, c.Addrs = f.MasterName, f.SentinelAddrs
	c.Options, err = connectLike(&goredis.Options{
		Dialer: dialer, OnConnect: f.OnConnect, ClientName: f.ClientName, Username: f.SentinelUsername, Password: f.SentinelPassword,
	})
	return conf, c, err
}

// connectLike makes options for connections as a client with these would have them.
func connectLike(o *goredis.Options) (goredis.Options, error) {
	o.Network = "tcp"
	client := goredis.NewClient(o) // it does not connect
	defer func() { _ = client.Close() }()
	return node.OptionsOf("the client", client)
}

func checkFailover(f *goredis.FailoverOptions) error {
	if f == nil {
		return address.Invalid("the FailoverOptions are nil")
	}
	if why := checkMasterName(f.MasterName); why != "" {
		return address.Invalid("MasterName %q: %s", f.MasterName, why)
	}
	if len(f.SentinelAddrs) == 0 {
		return address.Invalid("SentinelAddrs is empty: give the Sentinels, such as s1:26379")
	}
	for _, addr := range f.SentinelAddrs {
		if _, port, err := net.SplitHostPort(addr); err != nil || port == "" {
			return address.Invalid("SentinelAddrs: %q: want host:port, such as s1:26379", addr)
		}
	}
	if f.ReplicaOnly || f.RouteByLatency || f.RouteRandomly || f.UseDisconnectedReplicas {
		return address.Invalid("ReplicaOnly, RouteByLatency, RouteRandomly and UseDisconnectedReplicas choose replicas, and locks are on the master: leave them out")
	}
	if f.SentinelUsername != "" && f.SentinelPassword == "" {
		return address.Invalid("SentinelUsername needs SentinelPassword: without one go-redis does not log in")
	}
	return nil
}
