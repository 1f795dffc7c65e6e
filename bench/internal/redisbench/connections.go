package redisbench

import (
	"context"
	"crypto/tls"
	"net"

	"github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

// Connections are how the clients of the contestants find their servers: one, those that Sentinels name, or those of
// a Cluster. Each client has connections of its own.
type Connections struct {
	// GoRedis opens a go-redis client as its README does. The pool size is the library's default for everybody.
	GoRedis func(o contest.Options) redis.UniversalClient

	// Rueidis is what rueidislock connects by; its dialer is set for a client that is counted.
	Rueidis rueidis.ClientOption
	// Majority is of the keys that rueidislock makes of each lock, one less than twice as many.
	Majority int32
}

// oneServer are those of a Redis by itself.
func oneServer(addr string) Connections {
	return Connections{
		GoRedis:  func(o contest.Options) redis.UniversalClient { return goRedis(addr, o) },
		Rueidis:  rueidis.ClientOption{InitAddress: []string{addr}},
		Majority: 1,
	}
}

func goRedis(addr string, o contest.Options) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: addr, Dialer: o.Dial})
}

// rueidis are the same for one client.
func (c Connections) rueidis(o contest.Options) rueidis.ClientOption {
	client := c.Rueidis
	if o.Dial != nil {
		client.DialCtxFn = func(ctx context.Context, address string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
			return o.Dial(ctx, "tcp", address)
		}
	}
	return client
}
