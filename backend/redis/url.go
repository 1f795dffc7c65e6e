package redis

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/fencelock/fencelock"
)

// The query parameters that a URL may have.
var (
	commonParams = []string{"namespace", "durable"}
	unixParams   = append([]string{"db"}, commonParams...)
	tlsParams    = append([]string{"ca", "cert", "key", "server_name"}, commonParams...)
)

// invalid makes the error of a wrong part of a URL. It never has the URL itself.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", fencelock.ErrInvalid, fmt.Errorf(format, args...))
}

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
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, Options{}, invalid("the query of the URL cannot be parsed")
	}
	var opts Options
	if u.Scheme == "unix" {
		err = parseUnix(u, q, conf)
	} else {
		err = parseTCP(u, q, conf)
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
			return o, invalid("namespace=%q: %s", o.Namespace, why)
		}
	}
	if q.Has("durable") {
		if o.Durable, err = strconv.ParseBool(q.Get("durable")); err != nil {
			return o, invalid("durable=%q: write true or false", q.Get("durable"))
		}
	}
	return o, nil
}

func parseUnix(u *url.URL, q url.Values, conf *goredis.Options) (err error) {
	if err := checkParams(q, unixParams); err != nil {
		return err
	}
	if u.Host != "" || len(u.Path) < 2 {
		return invalid("the path of the socket is missing: write unix:///run/redis.sock, with three slashes")
	}
	conf.Network, conf.Addr = "unix", u.Path
	conf.DB, err = parseDB("db=", q.Get("db"))
	return err
}

func parseTCP(u *url.URL, q url.Values, conf *goredis.Options) (err error) {
	known := commonParams
	if u.Scheme == "rediss" {
		known = tlsParams
	}
	if err := checkParams(q, known); err != nil {
		return err
	}
	host, port := u.Hostname(), u.Port()
	switch {
	case host == "":
		return invalid("the host is missing: write %s://host:6379", u.Scheme)
	case strings.Contains(u.Host, ","):
		return invalid("the URL names several hosts; this backend takes one server")
	}
	if port == "" {
		port = "6379"
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return invalid("port %q: want a number from 1 to 65535", port)
	}
	conf.Network, conf.Addr = "tcp", net.JoinHostPort(host, port)
	if conf.DB, err = parseDB("database /", strings.TrimPrefix(u.Path, "/")); err != nil {
		return err
	}
	if u.Scheme == "rediss" {
		conf.TLSConfig, err = tlsConfig(host, q)
	}
	return err
}

func parseDB(what, s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, invalid("%s%s: want the number of a database, such as 0", what, s)
	}
	return int(n), nil
}

func checkParams(q url.Values, known []string) error {
	for name, values := range q {
		switch {
		case !slices.Contains(known, name):
			return invalid("unknown query parameter %q: known are %s", name, strings.Join(known, ", "))
		case len(values) > 1:
			return invalid("query parameter %q is given twice", name)
		}
	}
	return nil
}

// tlsConfig reads ca= (a PEM file; the system's roots if absent), cert= and key=
// (PEM files of a client certificate) and server_name=.
func tlsConfig(host string, q url.Values) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if q.Has("server_name") {
		c.ServerName = q.Get("server_name")
	}
	if q.Has("ca") {
		pem, err := os.ReadFile(q.Get("ca"))
		if err != nil {
			return nil, invalid("ca=: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, invalid("ca=%s: no PEM certificate in the file", q.Get("ca"))
		}
	}
	if q.Has("cert") != q.Has("key") {
		return nil, invalid("cert= and key= go together: one of them is missing")
	}
	if q.Has("cert") {
		pair, err := tls.LoadX509KeyPair(q.Get("cert"), q.Get("key"))
		if err != nil {
			return nil, invalid("cert=, key=: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
