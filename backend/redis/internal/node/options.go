package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/auth"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/fencelock/fencelock/driver/address"
)

// BaseOptions are the options of each connection of this package, without where it goes (Network, Addr, DB,
// Dialer) and the login.
func BaseOptions() goredis.Options {
	return goredis.Options{
		// This package retries: it knows which requests may be sent twice.
		MaxRetries:    -1,
		DialerRetries: 1,
		// A request has a deadline of its own; what we ask in the course of connecting has
		// this one.
		ContextTimeoutEnabled: true,
		DialTimeout:           connectTimeout,
		ReadTimeout:           connectTimeout,
		WriteTimeout:          connectTimeout,
		PoolSize:              1,
		PipelinePoolSize:      -1,
		ConnMaxIdleTime:       -1,   // see isIdle
		Protocol:              2,    // the server pushes nothing on a conn
		DisableIdentity:       true, // saves a round trip, and CLIENT needs a permission
		// A server that moves is met with a new connection.
		// Without a type go-redis 9.22 looks the host up while a client is made, for up to 2 s.
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled, EndpointType: maintnotifications.EndpointTypeNone,
		},
	}
}

// OptionsOf returns options for connections that go where an application's client does, as the same
// user. The error is driver.ErrInvalid if client is not one of a single server, and calls the client
// by the name field.
func OptionsOf(field string, client goredis.UniversalClient) (goredis.Options, error) {
	var single *goredis.Client
	switch c := client.(type) {
	case *goredis.Client:
		single = c
	case *goredis.ClusterClient:
		return goredis.Options{}, address.Invalid("%s is a *redis.ClusterClient: give a *redis.Client of one server, "+
			"which is no member of a Cluster", field)
	case *goredis.Ring:
		return goredis.Options{}, address.Invalid("%s is a *redis.Ring, whose servers change places with what is reachable: "+
			"give a *redis.Client of one server", field)
	case nil:
	default:
		return goredis.Options{}, address.Invalid("%s is a %T, of which nobody knows where it connects to: "+
			"give the *redis.Client that is inside, of redis.NewClient or redis.NewFailoverClient", field, client)
	}
	if single == nil {
		return goredis.Options{}, address.Invalid("%s is nil", field)
	}
	return copyOptions(single.Options()), nil
}

func copyOptions(client *goredis.Options) goredis.Options {
	conf := BaseOptions()
	conf.Network, conf.Addr, conf.DB = client.Network, client.Addr, client.DB
	conf.Dialer, conf.OnConnect, conf.ClientName = client.Dialer, client.OnConnect, client.ClientName
	conf.Username, conf.Password = client.Username, client.Password
	conf.CredentialsProvider = client.CredentialsProvider
	conf.CredentialsProviderContext = client.CredentialsProviderContext
	if p := client.StreamingCredentialsProvider; p != nil {
		conf.CredentialsProviderContext = func(context.Context) (string, string, error) { return current(p) }
	}
	return conf
}

// current returns the credentials that are good now. A connection whose login has run
// out is closed by the server, and made again with the next ones.
func current(p auth.StreamingCredentialsProvider) (user, password string, err error) {
	credentials, unsubscribe, err := p.Subscribe(&ignoreUpdates{})
	if err != nil {
		return "", "", err
	}
	user, password = credentials.BasicAuth()
	return user, password, unsubscribe()
}

// ignoreUpdates is a listener that ignores new credentials. Listeners are told apart by identity, so it must
// not be of size zero.
type ignoreUpdates struct{ _ byte }

func (*ignoreUpdates) OnNext(auth.Credentials) {}
func (*ignoreUpdates) OnError(error)           {}

// Dialer connects as a URL says. certificates is nil without TLS; each connection has
// those that the files have when it is made. The server's certificate must be for host, or, if that is empty, for
// the host that is dialled: where the server moves, and so is not always the same.
func Dialer(certificates *address.Certificates, host string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	tcp := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		// Sooner than most firewalls and NATs forget idle connections.
		Enable: true, Idle: 30 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}
	if certificates == nil {
		return tcp.DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := tcp.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		name := host
		if name == "" {
			if name, _, err = net.SplitHostPort(addr); err != nil {
				_ = conn.Close() // it is good for nothing
				return nil, err
			}
		}
		secured := tls.Client(conn, certificates.Config(name))
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = conn.Close() // it is good for nothing
			return nil, fmt.Errorf("TLS with %s: %w", addr, err)
		}
		return secured, nil
	}
}

// ParseDB parses the number of a database, as a URL has it; "" is 0. The error is driver.ErrInvalid, and
// quotes s after what, as in "database /".
func ParseDB(what, s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, address.Invalid("%s%s: want the number of a database, such as 0", what, s)
	}
	return int(n), nil
}

// ParseLogin puts user and password of a URL into options: those before the @, or the password in the
// file that the parameter password_file names, which is read for each new connection. Errors are
// driver.ErrInvalid and show no password.
func ParseLogin(u *url.URL, q url.Values, conf *goredis.Options, log *slog.Logger) error {
	if u.User != nil {
		conf.Username = u.User.Username()
		conf.Password, _ = u.User.Password()
	}
	if !q.Has("password_file") {
		if conf.Username != "" && conf.Password == "" {
			// Without a password go-redis does not log in at all, so the server would treat the client as
			// the user "default". The name is not shown: it may be a password.
			full, alone := loginForms(u.Scheme)
			return address.Invalid("there is a user before the @ and no password. If it is the password, write a colon before it, %s; "+
				"if it is the user, %s or password_file= (for a user of nopass any password does)", alone, full)
		}
		return nil
	}
	if conf.Password != "" {
		return address.Invalid("password_file= and a password in the URL: give one of them")
	}
	f, err := newPasswordFile(conf.Username, q.Get("password_file"), log)
	if err == nil {
		conf.CredentialsProviderContext = f.credentials
	}
	return err
}

// loginForms are URLs with user and password, and with the password of the user "default".
func loginForms(scheme string) (full, alone string) {
	at := "@host"
	if scheme == "unix" {
		at = "@/path/of/the/socket"
	}
	return scheme + "://user:password" + at, scheme + "://:password" + at
}

// passwordFile is a password in a file, which may be replaced while the program runs.
type passwordFile struct {
	user, path string
	log        *slog.Logger

	mu   sync.Mutex
	good string // the last that could be read
	told string // the last fault that was logged; "" if there is none now
}

func newPasswordFile(user, path string, log *slog.Logger) (*passwordFile, error) {
	f := &passwordFile{user: user, path: path, log: log}
	var err error
	if f.good, err = address.Password(f.path); err != nil {
		return nil, address.Invalid("%w", err)
	}
	return f, nil
}

// credentials returns what the file has now. If it cannot be read, or is empty because it
// is being written, credentials returns the last good password, and logs the fault once.
func (f *passwordFile) credentials(context.Context) (user, password string, err error) {
	now, err := address.Password(f.path)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err == nil:
		f.good, f.told = now, ""
	case err.Error() != f.told:
		f.told = err.Error()
		// In a goroutine: a logger that blocks must not block every new connection.
		go f.log.Warn("fencelock: the password cannot be read; the last good one is used until it can", "err", err)
	}
	return f.user, f.good, nil
}

// CheckNamespace says what is wrong with a namespace, or nothing. It is a part of the names of keys.
func CheckNamespace(ns string) string { return address.Namespace(ns, "._:-") }
