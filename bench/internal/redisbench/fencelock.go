package redisbench

import (
	"context"
	"io"

	"github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	redisbackend "github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/ours"
	"github.com/fencelock/fencelock/driver"
)

func fenceLock(addr string) contest.Contestant {
	return FenceLock(url(addr, ours.Namespace), func(ctx context.Context, o contest.Options) (driver.Backend, io.Closer, error) {
		conns := redis.NewClient(&redis.Options{Addr: addr, Dialer: o.Dial})
		b, err := redisbackend.New(ctx, conns, BackendOptions())
		return b, conns, err
	})
}

func url(addr, namespace string) string { return "redis://" + addr + "?namespace=" + namespace }

// BackendOptions are those of ours where no URL carries them.
func BackendOptions() *redisbackend.Options { return &redisbackend.Options{Namespace: ours.Namespace} }

// FenceLock is ours, opened by a URL. A client that is counted has its backend and its connections from counted, since a
// URL carries no dialer; the connections may be nil.
func FenceLock(url string, counted func(ctx context.Context, o contest.Options) (driver.Backend, io.Closer, error)) contest.Contestant {
	c := ours.Contestant("", "is granted in order, by push", func(string) string { return url })
	timed := c.Open
	c.Open = func(ctx context.Context, o contest.Options) (contest.Client, error) {
		if o.Dial == nil {
			return timed(ctx, o)
		}
		b, conns, err := counted(ctx, o)
		if err != nil {
			closeConns(conns)
			return nil, err
		}
		client, err := fencelock.New(b, ours.Options(o))
		if err != nil {
			_ = b.Close()
			closeConns(conns)
			return nil, err
		}
		return &ours.Client{Client: client, Connections: conns}, nil
	}
	return c
}

func closeConns(conns io.Closer) {
	if conns != nil {
		_ = conns.Close()
	}
}
