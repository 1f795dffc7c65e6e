package redisbench

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

// BareName is that of the bare client.
const BareName = "bare client"

// bareLimit ends each request of the bare client: the next one may go elsewhere.
const bareLimit = 100 * time.Millisecond

// Where asks one server for the address to which writes of the key go now.
type Where func(ctx context.Context, guide *redis.Client, key string) (addr string, err error)

// Bare is the least that can be done in a fail-over: to ask those who know where to write, one after the other, and to
// write there. It believes each of them, and excludes nobody.
func Bare(guides []string, where Where) contest.Contestant {
	return contest.Contestant{
		Name:  BareName,
		Bare:  true,
		Floor: true,
		Waits: "asks where to write, and writes",
		Open: func(_ context.Context, o contest.Options) (contest.Client, error) {
			c := &bareClient{where: where, ttl: o.TTL, servers: map[string]*redis.Client{}}
			for _, addr := range guides {
				c.guides = append(c.guides, impatient(addr))
			}
			return c, nil
		},
	}
}

func impatient(addr string) *redis.Client {
	return redis.NewClient(&redis.Options{
		Addr: addr, MaxRetries: -1, DialerRetries: 1,
		DialTimeout: bareLimit, ReadTimeout: bareLimit, WriteTimeout: bareLimit, PoolTimeout: bareLimit,
	})
}

type bareClient struct {
	guides []*redis.Client
	asked  atomic.Uint64
	where  Where
	ttl    time.Duration

	mu      sync.Mutex
	servers map[string]*redis.Client // by their addresses
}

func (c *bareClient) Lock(ctx context.Context, key string) (contest.Held, error) {
	guide := c.guides[c.asked.Add(1)%uint64(len(c.guides))]
	addr, err := c.where(ctx, guide, key)
	if err != nil {
		return nil, err
	}
	if err := c.server(addr).Set(ctx, key, "bare", c.ttl).Err(); err != nil {
		return nil, err
	}
	return bareHeld{}, nil
}

func (c *bareClient) server(addr string) *redis.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.servers[addr] == nil {
		c.servers[addr] = impatient(addr)
	}
	return c.servers[addr]
}

func (c *bareClient) Close() error {
	var errs []error
	for _, guide := range c.guides {
		errs = append(errs, guide.Close())
	}
	for _, server := range c.servers {
		errs = append(errs, server.Close())
	}
	return errors.Join(errs...)
}

// bareHeld is a key that ends by itself.
type bareHeld struct{}

func (bareHeld) Release(context.Context) error { return nil }
