package redis

import (
	"context"
	"log/slog"
	"net/url"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver/address"
)

// parseClusterURL parses redis+cluster://[user[:password]@]h1[:port],h2,…[?parameters], and rediss+cluster.
func parseClusterURL(u *url.URL, log *slog.Logger) (conf clusterConf, opts Options, err error) {
	secure := u.Scheme == "rediss+cluster"
	known := commonParams
	if secure {
		known = tlsParams
	}
	q, err := address.Params(u, known...)
	if err != nil {
		return conf, opts, err
	}
	if conf.seeds, err = address.Hosts(u, "6379"); err != nil {
		return conf, opts, err
	}
	if db := strings.TrimPrefix(u.Path, "/"); db != "" && db != "0" {
		return conf, opts, address.Invalid("database /%s: a Cluster has the database 0 only", db)
	}
	base := node.BaseOptions()
	base.Network = "tcp"
	if err = node.ParseLogin(u, q, &base, log); err != nil {
		return conf, opts, err
	}
	if opts, err = parseCommon(q); err != nil {
		return conf, opts, err
	}
	var certificates *address.Certificates
	if secure {
		if certificates, err = address.TLS(q, log); err != nil {
			return conf, opts, err
		}
	}
	base.Dialer = node.Dialer(certificates, "") // a certificate is for the host that is dialled
	conf.options = func(addr string) goredis.Options {
		one := base
		one.Addr = addr
		return one
	}
	conf.log = log
	conf.watch = func(ctx context.Context, addr string) (context.Context, func(error) error) {
		watched, w := address.NewWatch(ctx, u.Scheme, address.Server{Network: "tcp", Addr: addr, Certificates: certificates})
		return watched, func(err error) error {
			if err != nil {
				err = node.Endpoint{Scheme: u.Scheme, Network: "tcp", Addr: addr}.Explain(watched, err)
			}
			return w.End(err)
		}
	}
	return conf, opts, nil
}
