package etcd

import (
	"net/url"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"

	"github.com/fencelock/fencelock/driver/address"
)

// The query parameters that a URL may have.
var (
	commonParams = []string{"namespace"}
	tlsParams    = append(address.TLSParams(), commonParams...)
)

const (
	// pingAfter is the silence after which a connection is asked whether it lives. A
	// server takes more frequent questions for an attack, by default.
	pingAfter   = 5 * time.Second
	pingTimeout = 3 * time.Second
	// loginTimeout bounds the request for a token at Open.
	loginTimeout = 5 * time.Second
	// window is how much of an answer a server may send ahead of us: more than any answer
	// of a lock with hundreds of waiters. gRPC looks for a window of its own if it is not
	// told one, by a ping after each answer, which costs both sides about as much as the
	// conditions of a transaction do.
	window = 1 << 20
)

func parseURL(u *url.URL) (clientv3.Config, Options, error) {
	conf := clientv3.Config{
		Logger:               zap.NewNop(), // what matters is in the errors
		DialTimeout:          loginTimeout,
		DialKeepAliveTime:    pingAfter,
		DialKeepAliveTimeout: pingTimeout,
		DialOptions: []grpc.DialOption{
			grpc.WithStaticStreamWindowSize(window),
			grpc.WithStaticConnWindowSize(window),
		},
	}
	known := commonParams
	if u.Scheme == "etcds" {
		known = tlsParams
	}
	q, err := address.Params(u, known...)
	if err != nil {
		return conf, Options{}, err
	}
	if u.User != nil {
		conf.Username = u.User.Username()
		conf.Password, _ = u.User.Password()
		if conf.Username == "" || conf.Password == "" {
			return conf, Options{}, address.Invalid("a user needs a password, and the other way round: write %s://user:password@host", u.Scheme)
		}
	}
	if u.Scheme == "etcds" {
		if conf.TLS, err = address.TLS(q); err != nil {
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
		return Options{}, address.Invalid("the namespace is /%s in the path and namespace=%s: write one of them", path, name)
	}
	if name == "" && !q.Has("namespace") {
		name = defaultNamespace
	}
	if why := checkNamespace(name); why != "" {
		return Options{}, address.Invalid("namespace %q: %s", name, why)
	}
	return Options{Namespace: name}, nil
}

func endpoints(u *url.URL) ([]string, error) {
	scheme := "http://"
	if u.Scheme == "etcds" {
		scheme = "https://"
	}
	all, err := address.Hosts(u, "2379")
	for i := range all {
		all[i] = scheme + all[i]
	}
	return all, err
}
