package etcd

import (
	"context"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"

	"github.com/fencelock/fencelock/backend/etcd/internal/cluster"
	"github.com/fencelock/fencelock/backend/etcd/internal/login"
	"github.com/fencelock/fencelock/driver/address"
)

// The query parameters that a URL may have.
var (
	commonParams = []string{"namespace", "proxy", "password_file"}
	tlsParams    = append(address.TLSParams(), commonParams...)
)

const (
	// pingAfter is the silence after which a ping asks whether the connection lives. By default a
	// server takes more frequent pings for an attack.
	pingAfter   = 5 * time.Second
	pingTimeout = 3 * time.Second
	// reconnectPause is the longest time, but for a fifth, between two attempts to connect, and
	// cluster.ConnectTimeout what each of them has. gRPC's own are two minutes and 20 seconds: a client
	// would come back long after its servers have.
	reconnectPause = 800 * time.Millisecond
	// window is how much of an answer a server may send ahead of us: more than any answer
	// of a lock with hundreds of waiters. Without this setting gRPC estimates a window,
	// by a ping after each answer, which costs both sides about as much as the
	// conditions of a transaction do.
	window = 1 << 20
)

// target is what a URL names.
type target struct {
	conf     clientv3.Config
	name     string // or "": there is no user
	password login.Password
	opts     Options
	servers  []address.Server
}

func parseURL(u *url.URL, log *slog.Logger) (t target, err error) {
	t.conf = clientv3.Config{
		Logger:               zap.NewNop(), // what matters is in the errors
		DialKeepAliveTime:    pingAfter,
		DialKeepAliveTimeout: pingTimeout,
		DialOptions: []grpc.DialOption{
			grpc.WithStaticStreamWindowSize(window),
			grpc.WithStaticConnWindowSize(window),
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: reconnectPause},
				MinConnectTimeout: cluster.ConnectTimeout,
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
	if t.name, t.password, err = parseUser(u, q.Get("password_file")); err != nil {
		return t, err
	}
	switch by := q.Get("proxy"); {
	case !q.Has("proxy"):
		// By default gRPC uses the proxy of the environment. A proxy for the web
		// seldom lets a client through to etcd, and its operators would see who holds which lock.
		t.conf.DialOptions = append(t.conf.DialOptions, grpc.WithNoProxy())
	case by != "env":
		return t, address.Invalid("proxy=%s: it can be env, which is the proxy that HTTPS_PROXY names", by)
	}
	var certificates *address.Certificates
	if u.Scheme == "etcds" {
		if certificates, err = address.TLS(q, log); err != nil {
			return t, err
		}
		t.conf.DialOptions = append(t.conf.DialOptions, grpc.WithTransportCredentials(reloadingCredentials{certificates}))
		if name := q.Get("server_name"); name != "" {
			// The client puts each host's own name into the TLS configuration.
			t.conf.DialOptions = append(t.conf.DialOptions, grpc.WithAuthority(name))
		}
	}
	hosts, err := address.Hosts(u, "2379")
	if err != nil {
		return t, err
	}
	for _, host := range hosts {
		if u.Scheme == "etcds" {
			t.conf.Endpoints = append(t.conf.Endpoints, "https://"+host)
		} else {
			t.conf.Endpoints = append(t.conf.Endpoints, "http://"+host)
		}
		if !q.Has("proxy") { // else it is reached in other ways
			t.servers = append(t.servers, address.Server{Network: "tcp", Addr: host, Certificates: certificates})
		}
	}
	t.opts, err = parseNamespace(u, q)
	return t, err
}

// parseUser takes the password from the URL or from a file.
func parseUser(u *url.URL, file string) (name string, p login.Password, err error) {
	p.File = file
	if u.User != nil {
		name = u.User.Username()
		p.Fixed, _ = u.User.Password()
	}
	switch {
	case u.User == nil && file == "":
		return "", p, nil
	case name == "" || p.Fixed == "" && file == "":
		return "", p, address.Invalid("a user needs a password, and the other way round: write %s://user:password@host, or %s://user@host?password_file=/path", u.Scheme, u.Scheme)
	case p.Fixed != "" && file != "":
		return "", p, address.Invalid("a password in the URL and password_file=: write one of them")
	}
	if _, err := p.Now(); err != nil {
		return "", p, address.Invalid("%w", err)
	}
	return name, p, nil
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

// reloadingCredentials are the TLS credentials of a client. Each connection gets certificates and authorities
// that are read again: those of gRPC are read once, and a certificate that has been renewed in time
// would never be shown.
type reloadingCredentials struct{ certificates *address.Certificates }

var _ credentials.TransportCredentials = reloadingCredentials{}

// now returns the credentials for one connection. The name of the server comes with the handshake.
func (r reloadingCredentials) now() credentials.TransportCredentials {
	return credentials.NewTLS(r.certificates.Config(""))
}

// ClientHandshake secures a connection.
func (r reloadingCredentials) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return r.now().ClientHandshake(ctx, authority, conn)
}

// ServerHandshake is of no use here.
func (r reloadingCredentials) ServerHandshake(conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return r.now().ServerHandshake(conn)
}

// Info tells what protocol it is, without a name: the client knows that of each server.
func (r reloadingCredentials) Info() credentials.ProtocolInfo {
	return credentials.NewTLS(nil).Info()
}

// Clone returns the same: nothing in it is changed.
func (r reloadingCredentials) Clone() credentials.TransportCredentials { return r }

// OverrideServerName does nothing: gRPC does not use it, and has grpc.WithAuthority for that.
func (r reloadingCredentials) OverrideServerName(string) error { return nil }
