package redis

import (
	"log/slog"
	"net/url"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver/address"
)

// The query parameters of each kind of URL.
var (
	commonParams = []string{"namespace", "durable", "wait", "password_file"}
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
	if q.Has("wait") {
		if o.Wait, err = parseWait(q.Get("wait")); err != nil {
			return o, address.Invalid("wait=%q: %w", q.Get("wait"), err)
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
