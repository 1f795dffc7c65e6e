package redisbench

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	redisbackend "github.com/fencelock/fencelock/backend/redis"

	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/ours"
)

func fenceLock(addr string) contest.Contestant {
	c := ours.Contestant(addr, "is granted in order, by push", func(addr string) string {
		return "redis://" + addr + "?namespace=" + ours.Namespace
	})
	timed := c.Open
	c.Open = func(ctx context.Context, o contest.Options) (contest.Client, error) {
		if o.Dial != nil {
			return openCounted(ctx, addr, o)
		}
		return timed(ctx, o)
	}
	return c
}

// openCounted sets the connections up as the URL does, but for the dialer, which a URL cannot carry.
func openCounted(ctx context.Context, addr string, o contest.Options) (contest.Client, error) {
	conns := redis.NewClient(&redis.Options{Addr: addr, Dialer: o.Dial, MaxRetries: -1, ContextTimeoutEnabled: true})
	b, err := redisbackend.New(ctx, conns, &redisbackend.Options{Namespace: ours.Namespace})
	if err != nil {
		_ = conns.Close()
		return nil, err
	}
	c, err := fencelock.New(b, ours.Options(o))
	if err != nil {
		_ = b.Close()
		_ = conns.Close()
		return nil, err
	}
	return &ours.Client{Client: c, Connections: conns}, nil
}
