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
	like := goredis.Options{
		ClientName: theirs.ClientName, Dialer: theirs.Dialer, OnConnect: theirs.OnConnect,
		Username: theirs.Username, Password: theirs.Password, CredentialsProvider: theirs.CredentialsProvider,
		CredentialsProviderContext: theirs.CredentialsProviderContext, StreamingCredentialsProvider: theirs.StreamingCredentialsProvider,
		TLSConfig: theirs.TLSConfig, DialTimeout: theirs.DialTimeout, Protocol: theirs.Protocol,
	}
	if like.Dialer == nil {
		like.Dialer = dialerOf(&like)
	}
	changes := reflect.ValueOf(theirs.NewClient).Pointer() != reflect.ValueOf(goredis.NewClient).Pointer()
	conf.options = func(addr string) goredis.Options {
		one := like
		one.Network, one.Addr = "tcp", addr
		if changes {
			// Their function may change what it gets. Its client makes no connection.
			made := theirs.NewClient(&one)
			defer func() { _ = made.Close() }()
			return node.CopyOptions(made.Options())
		}
		return node.CopyOptions(&one)
	}
	return conf, nil
}

// dialerOf is what a client without a dialler of its own has, and ends when its context does.
func dialerOf(theirs *goredis.Options) func(ctx context.Context, network, addr string) (net.Conn, error) {
	if theirs.TLSConfig == nil {
		return node.Dialer(nil, "")
	}
	return node.Dialer(address.CertificatesOf(theirs.TLSConfig), "")
}
