package redisbench

import (
	"context"
	"log/slog"

	"github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	redisbackend "github.com/fencelock/fencelock/backend/redis"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

const namespace = "bench"

func fenceLock(addr string) contest.Contestant {
	return contest.Contestant{
		Name:   ours,
		Token:  true,
		Renews: true,
		Waits:  "is granted in order, by push",
		Open: func(ctx context.Context, o contest.Options) (contest.Client, error) {
			opts := &fencelock.Options{TTL: o.TTL, Logger: slog.New(slog.DiscardHandler)}
			if o.Dial != nil {
				return openCounted(ctx, addr, o.Dial, opts)
			}
			c, err := fencelock.Open(ctx, "redis://"+addr+"?namespace="+namespace, opts)
			if err != nil {
				return nil, err
			}
			return &fenceClient{Client: c}, nil
		},
	}
}

// openCounted sets the connections up as Open does, but for the dialer, which a URL cannot carry.
func openCounted(ctx context.Context, addr string, dial contest.Dialer, opts *fencelock.Options) (contest.Client, error) {
	conns := redis.NewClient(&redis.Options{Addr: addr, Dialer: dial, MaxRetries: -1, ContextTimeoutEnabled: true})
	b, err := redisbackend.New(ctx, conns, &redisbackend.Options{Namespace: namespace})
	if err != nil {
		_ = conns.Close()
		return nil, err
	}
	c, err := fencelock.New(b, opts)
	if err != nil {
		_ = b.Close()
		_ = conns.Close()
		return nil, err
	}
	return &fenceClient{Client: c, conns: conns}, nil
}

type fenceClient struct {
	*fencelock.Client
	conns *redis.Client // nil when the client has connections of its own
}

func (c *fenceClient) Lock(ctx context.Context, key string) (contest.Held, error) {
	lease, err := c.Client.Lock(ctx, key)
	if err != nil {
		return nil, err
	}
	return fenceHeld{lease}, nil
}

func (c *fenceClient) Waiters(ctx context.Context, key string) (int, error) {
	s, err := c.Inspect(ctx, key)
	return s.Waiters, err
}

func (c *fenceClient) Close() error {
	err := c.Client.Close()
	if c.conns != nil {
		_ = c.conns.Close() // says nothing that matters after the client
	}
	return err
}

type fenceHeld struct{ *fencelock.Lease }

func (h fenceHeld) Release(ctx context.Context) error { return h.Unlock(ctx) }
