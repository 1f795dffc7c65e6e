package etcd

import (
	"net/url"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"

	"github.com/fencelock/fencelock/driver/address"
)

// The query parameters that a URL may have.
var (
	commonParams = []string{"namespace", "proxy"}
	tlsParams    = append(address.TLSParams(), commonParams...)
)

const (
	// pingAfter is the silence after which a connection is asked whether it lives. A
	// server takes more frequent questions for an attack, by default.
	pingAfter   = 5 * time.Second
	pingTimeout = 3 * time.Second
	// reconnectPause is the longest time, but for a fifth, between two attempts to connect, and
	// connectTimeout what each of them has. gRPC's own are two minutes and 20 seconds: a client
	// would come back long after its servers have.
	reconnectPause = 800 * time.Millisecond
	connectTimeout = 2 * time.Second
	// window is how much of an answer a server may send ahead of us: more than any answer
	// of a lock with hundreds of waiters. gRPC looks for a window of its own if it is not
	// told one, by a ping after each answer, which costs both sides about as much as the
	// conditions of a transaction do.
	window = 1 << 20
)

// target is what a URL names.
type target struct {
	conf           clientv3.Config
	name, password string // or "": there is no user
	opts           Options
}

func parseURL(u *url.URL) (t target, err error) {
	t.conf = clientv3.Config{
		Logger:               zap.NewNop(), // what matters is in the errors
		DialKeepAliveTime:    pingAfter,
		DialKeepAliveTimeout: pingTimeout,
		DialOptions: []grpc.DialOption{
			grpc.WithStaticStreamWindowSize(window),
			grpc.WithStaticConnWindowSize(window),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: reconnectPause},
				MinConnectTimeout: connectTimeout,
			}),
		},
	}
	known := commonParams
	if u.Scheme == "etcds" {
		known = tlsParams
	}
	q, err := address.Params(u, known...)
	if err != nil {
		return t, err
	}
	if u.User != nil {
		t.name = u.User.Username()
		t.password, _ = u.User.Password()
		if t.name == "" || t.password == "" {
			return t, address.Invalid("a user needs a password, and the other way round: write %s://user:password@host", u.Scheme)
		}
	}
	switch by := q.Get("proxy"); {
	case !q.Has("proxy"):
		// gRPC takes the proxy of the environment unless it is told not to. One for the web
		// seldom lets a client through to etcd, and its operators would see who holds which lock.
		t.conf.DialOptions = append(t.conf.DialOptions, grpc.WithNoProxy())
	case by != "env":
		return t, address.Invalid("proxy=%s: it can be env, which is the proxy that HTTPS_PROXY names", by)
	}
	if u.Scheme == "etcds" {
		if t.conf.TLS, err = address.TLS(q); err != nil {
			return t, err
		}
		if name := q.Get("server_name"); name != "" {
			// The client puts each host's own name into the TLS configuration.
			t.conf.DialOptions = append(t.conf.DialOptions, grpc.WithAuthority(name))
		}
	}
	if t.conf.Endpoints, err = endpoints(u); err != nil {
		return t, err
	}
	t.opts, err = parseNamespace(u, q)
	return t, err
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
