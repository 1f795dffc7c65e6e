package etcd

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
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/fencelock/fencelock"
)

// The query parameters that a URL may have.
var (
	commonParams = []string{"namespace"}
	tlsParams    = []string{"ca", "cert", "key", "server_name", "namespace"}
)

const (
	// pingAfter is the silence after which a connection is asked whether it lives. A
	// server takes more frequent questions for an attack, by default.
	pingAfter   = 5 * time.Second
	pingTimeout = 3 * time.Second
	// loginTimeout bounds the request for a token at Open.
	loginTimeout = 5 * time.Second
)

// invalid makes the error of a wrong part of a URL. It never has the URL itself.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", fencelock.ErrInvalid, fmt.Errorf(format, args...))
}

func parseURL(u *url.URL) (clientv3.Config, Options, error) {
	conf := clientv3.Config{
		Logger:               zap.NewNop(), // what matters is in the errors
		DialTimeout:          loginTimeout,
		DialKeepAliveTime:    pingAfter,
		DialKeepAliveTimeout: pingTimeout,
	}
	q, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return conf, Options{}, invalid("the query of the URL cannot be parsed")
	}
	known := commonParams
	if u.Scheme == "etcds" {
		known = tlsParams
	}
	if err := checkParams(q, known); err != nil {
		return conf, Options{}, err
	}
	if u.User != nil {
		conf.Username = u.User.Username()
		conf.Password, _ = u.User.Password()
		if conf.Username == "" || conf.Password == "" {
			return conf, Options{}, invalid("a user needs a password, and the other way round: write %s://user:password@host", u.Scheme)
		}
	}
	if u.Scheme == "etcds" {
		if conf.TLS, err = tlsConfig(q); err != nil {
			return conf, Options{}, err
		}
		if name := q.Get("server_name"); name != "" {
			// The client puts each host's own name into the TLS configuration.
			conf.DialOptions = append(conf.DialOptions, grpc.WithAuthority(name))
		}
	}
	if conf.Endpoints, err = endpoints(u); err != nil {
		return conf, Options{}, err
	}
	opts, err := parseNamespace(u, q)
	return conf, opts, err
}

// parseNamespace takes it from the path or from namespace=.
func parseNamespace(u *url.URL, q url.Values) (Options, error) {
	path := strings.TrimPrefix(u.Path, "/")
	name := q.Get("namespace")
	switch {
	case !q.Has("namespace"):
		name = path
	case path != "" && path != name:
		return Options{}, invalid("the namespace is /%s in the path and namespace=%s: write one of them", path, name)
	}
	if name == "" && !q.Has("namespace") {
		name = defaultNamespace
	}
	if why := checkNamespace(name); why != "" {
		return Options{}, invalid("namespace %q: %s", name, why)
	}
	return Options{Namespace: name}, nil
}

func endpoints(u *url.URL) ([]string, error) {
	scheme := "http://"
	if u.Scheme == "etcds" {
		scheme = "https://"
	}
	var all []string
	for host := range strings.SplitSeq(u.Host, ",") {
		addr, err := address(host)
		if err != nil {
			return nil, err
		}
		all = append(all, scheme+addr)
	}
	return all, nil
}

// address completes one host of the URL by the port.
func address(host string) (string, error) {
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		name, port = strings.Trim(host, "[]"), "2379"
		if strings.Contains(name, ":") && !strings.HasPrefix(host, "[") {
			return "", invalid("host %q: want host, host:port or [IPv6]:port", host)
		}
	}
	if name == "" {
		return "", invalid("a host is missing: write etcd://host1:2379,host2:2379")
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", invalid("port %q: want a number from 1 to 65535", port)
	}
	return net.JoinHostPort(name, port), nil
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
func tlsConfig(q url.Values) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: q.Get("server_name")}
	if q.Has("ca") {
		pem, err := os.ReadFile(q.Get("ca"))
		if err != nil {
			return nil, invalid("ca=: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, invalid("ca=: the file has no certificate in PEM form")
		}
	}
	if q.Has("cert") != q.Has("key") {
		return nil, invalid("cert= and key= come together: give both or none")
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
