package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/auth"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/fencelock/fencelock/driver/address"
)

// BaseOptions are the options of a connection of ours, but for where it goes (Network, Addr, DB,
// Dialer) and who we are. A lane has one, and lives as long.
func BaseOptions() goredis.Options {
	return goredis.Options{
		// We retry, since we know what may be asked twice.
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
		Protocol:              2,    // nothing is pushed on a lane
		DisableIdentity:       true, // saves a round trip, and CLIENT needs a permission
		// A server that moves is met with a new connection.
		// Without a type go-redis 9.22 looks the host up while a client is made, for up to 2 s.
		MaintNotificationsConfig: &maintnotifications.Config{
			Mode: maintnotifications.ModeDisabled, EndpointType: maintnotifications.EndpointTypeNone,
		},
	}
}

// OptionsOf are the options of connections that go where an application's client does, as the same
// user. A client that is not one of a single server is driver.ErrInvalid; field is what the error calls
// it.
func OptionsOf(field string, client goredis.UniversalClient) (goredis.Options, error) {
	var single *goredis.Client
	switch c := client.(type) {
	case *goredis.Client:
		single = c
	case *goredis.ClusterClient:
		return goredis.Options{}, address.Invalid("%s is a *redis.ClusterClient, and a Cluster is not supported yet: "+
			"give a *redis.Client of one server, which is no member of a Cluster", field)
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
	return theirs(single.Options()), nil
}

func theirs(client *goredis.Options) goredis.Options {
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
// out is closed by the server, and made anew with the next ones.
func current(p auth.StreamingCredentialsProvider) (user, password string, err error) {
	credentials, unsubscribe, err := p.Subscribe(&deaf{})
	if err != nil {
		return "", "", err
	}
	user, password = credentials.BasicAuth()
	return user, password, unsubscribe()
}

// deaf is a listener that wants no news. Listeners are told apart by identity, so it must
// not be of size zero.
type deaf struct{ _ byte }

func (*deaf) OnNext(auth.Credentials) {}
func (*deaf) OnError(error)           {}

// Dialer connects as a URL says. certificates is nil without TLS; each connection has
// those that the files have when it is made.
func Dialer(certificates *address.Certificates, host string) func(ctx context.Context, network, addr string) (net.Conn, error) {
	tcp := net.Dialer{KeepAliveConfig: net.KeepAliveConfig{
		// Sooner than most that forget idle connections on the way.
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
		secured := tls.Client(conn, certificates.Config(host))
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
