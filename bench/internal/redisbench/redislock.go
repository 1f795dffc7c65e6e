package redisbench

import (
	"context"
	"time"

	"github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

// redisLockPoll is the interval of the retry strategy in its own example of a wait.
const redisLockPoll = 100 * time.Millisecond

func redisLock(addr string) contest.Contestant {
	return contest.Contestant{
		Name:  "redislock",
		Waits: "asks every " + redisLockPoll.String(),
		Open: func(_ context.Context, o contest.Options) (contest.Client, error) {
			c := goRedis(addr, o)
			return &redisLockClient{redis: c, locks: redislock.New(c), ttl: o.TTL}, nil
		},
	}
}

type redisLockClient struct {
	redis *redis.Client
	locks *redislock.Client
	ttl   time.Duration
}

func (c *redisLockClient) Lock(ctx context.Context, key string) (contest.Held, error) {
	// A strategy may keep state, so each call has its own.
	lock, err := c.locks.Obtain(ctx, key, c.ttl, &redislock.Options{RetryStrategy: redislock.LinearBackoff(redisLockPoll)})
	if err != nil {
		return nil, err
	}
	return lock, nil
}

func (c *redisLockClient) Close() error { return c.redis.Close() }
