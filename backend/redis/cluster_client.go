package redis

import (
	"context"
	"log/slog"
	"net"
	"reflect"

	goredis "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/backend/redis/internal/node"
	"github.com/fencelock/fencelock/driver/address"
)

// clusterOf is how a Cluster is reached as an application's client does. The error is driver.ErrInvalid.
func clusterOf(client *goredis.ClusterClient, log *slog.Logger) (clusterConf, error) {
	if client == nil {
		return clusterConf{}, address.Invalid("the client is nil")
	}
	theirs := client.Options()
	switch {
	case len(theirs.Addrs) == 0:
		return clusterConf{}, address.Invalid("the client's ClusterOptions have no Addrs")
	case theirs.ClusterSlots != nil:
		return clusterConf{}, address.Invalid("the client's ClusterOptions have ClusterSlots, which makes a Cluster of servers that are none: " +
			"give the client of a real one, or that of a single server, or several to redlock.New")
	}
	conf := clusterConf{
		seeds: theirs.Addrs,
		log:   log,
		watch: func(ctx context.Context, _ string) (context.Context, func(error) error) {
			return ctx, func(err error) error { return err }
		},
	}
	like := func(addr string) *goredis.Options {
		return &goredis.Options{
			Network: "tcp", Addr: addr, ClientName: theirs.ClientName, Dialer: dialerOf(theirs), OnConnect: theirs.OnConnect,
			Username: theirs.Username, Password: theirs.Password, CredentialsProvider: theirs.CredentialsProvider,
			CredentialsProviderContext: theirs.CredentialsProviderContext, StreamingCredentialsProvider: theirs.StreamingCredentialsProvider,
		}
	}
	plain, err := connectLike(like(""))
	if err != nil {
		return conf, err
	}
	conf.options = func(addr string) goredis.Options {
		one := plain
		one.Addr = addr
		return one
	}
	if reflect.ValueOf(theirs.NewClient).Pointer() == reflect.ValueOf(goredis.NewClient).Pointer() {
		return conf, nil
	}
	// Their function may change what it gets. Its client makes no connection.
	conf.options = func(addr string) goredis.Options {
		made := theirs.NewClient(like(addr))
		defer func() { _ = made.Close() }()
		one, err := node.OptionsOf("the client of NewClient", made)
		if err != nil { // it is nil
			one = plain
		}
		one.Addr = addr
		return one
	}
	return conf, nil
}

// dialerOf is the dialler of a Cluster's client, or what it has instead; one that ends when its context does.
func dialerOf(theirs *goredis.ClusterOptions) func(ctx context.Context, network, addr string) (net.Conn, error) {
	switch {
	case theirs.Dialer != nil:
		return theirs.Dialer
	case theirs.TLSConfig != nil:
		return node.Dialer(address.CertificatesOf(theirs.TLSConfig), "")
	}
	return node.Dialer(nil, "")
}
