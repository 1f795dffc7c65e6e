package redis

import (
	"net/url"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/fencelock/fencelock/driver/address"
)

// The query parameters that a URL may have.
var (
	commonParams = []string{"namespace", "durable"}
	unixParams   = append([]string{"db"}, commonParams...)
	tlsParams    = append(address.TLSParams(), commonParams...)
)

func parseURL(u *url.URL) (*goredis.Options, Options, error) {
	conf := &goredis.Options{
		// We retry, since we know what may be asked twice.
		MaxRetries:            -1,
		DialerRetries:         1,
		ContextTimeoutEnabled: true,
		// A server that moves is met with a new connection.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if u.User != nil {
		conf.Username = u.User.Username()
		conf.Password, _ = u.User.Password()
	}
	known, parse := commonParams, parseTCP
	switch u.Scheme {
	case "unix":
		known, parse = unixParams, parseUnix
	case "rediss":
		known = tlsParams
	}
	var opts Options
	q, err := address.Params(u, known...)
	if err == nil {
		err = parse(u, q, conf)
	}
	if err == nil {
		opts, err = parseCommon(q)
	}
	return conf, opts, err
}

func parseCommon(q url.Values) (o Options, err error) {
	if q.Has("namespace") {
		o.Namespace = q.Get("namespace")
		if why := checkNamespace(o.Namespace); why != "" {
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
	conf.Network, conf.Addr = "unix", u.Path
	conf.DB, err = parseDB("db=", q.Get("db"))
	return err
}

func parseTCP(u *url.URL, q url.Values, conf *goredis.Options) (err error) {
	hosts, err := address.Hosts(u, "6379")
	if err != nil {
		return err
	}
	if len(hosts) > 1 {
		return address.Invalid("the URL names several hosts; this backend takes one server")
	}
	conf.Network, conf.Addr = "tcp", hosts[0]
	if conf.DB, err = parseDB("database /", strings.TrimPrefix(u.Path, "/")); err != nil {
		return err
	}
	if u.Scheme == "rediss" {
		if conf.TLSConfig, err = address.TLS(q); err == nil && conf.TLSConfig.ServerName == "" {
			conf.TLSConfig.ServerName = u.Hostname()
		}
	}
	return err
}

func parseDB(what, s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, address.Invalid("%s%s: want the number of a database, such as 0", what, s)
	}
	return int(n), nil
}
