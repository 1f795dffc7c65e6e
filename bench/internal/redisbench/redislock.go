package redisbench

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/bsm/redislock"
	"github.com/go-redsync/redsync/v4"
	syncredis "github.com/go-redsync/redsync/v4/redis"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

// redisLockPoll is the interval of the retry strategy in its own example of a wait.
const redisLockPoll = 100 * time.Millisecond

// RedisLock is set up as its README says.
func RedisLock(at Connections) contest.Contestant {
	return contest.Contestant{
		Name:  RedisLockName,
		Waits: "asks every " + redisLockPoll.String(),
		Open: func(_ context.Context, o contest.Options) (contest.Client, error) {
			c := at.GoRedis(o)
			return &redisLockClient{redis: c, locks: redislock.New(c), ttl: o.TTL}, nil
		},
	}
}

type redisLockClient struct {
	redis redis.UniversalClient
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

func redSync(addr string) contest.Contestant { return RedSync("redsync", []string{addr}) }

// RedSync is redsync as its README sets it up: a pool for each of the masters at addrs, and of its options those given.
func RedSync(name string, addrs []string, options ...redsync.Option) contest.Contestant {
	return contest.Contestant{
		Name:  name,
		Waits: "asks every 50–250ms",
		Open: func(_ context.Context, o contest.Options) (contest.Client, error) {
			// Its default gives up after 32 tries, about 5 s; here it is to wait as long as the others do.
			c := &redSyncClient{options: append([]redsync.Option{redsync.WithExpiry(o.TTL), redsync.WithTries(math.MaxInt)}, options...)}
			var pools []syncredis.Pool
			for _, addr := range addrs {
				conns := goRedis(addr, o)
				c.redis, pools = append(c.redis, conns), append(pools, goredis.NewPool(conns))
			}
			c.sync = redsync.New(pools...)
			return c, nil
		},
	}
}

type redSyncClient struct {
	redis   []*redis.Client
	sync    *redsync.Redsync
	options []redsync.Option
}

func (c *redSyncClient) Lock(ctx context.Context, key string) (contest.Held, error) {
	m := c.sync.NewMutex(key, c.options...)
	if err := m.LockContext(ctx); err != nil {
		return nil, err
	}
	return redSyncHeld{m}, nil
}

func (c *redSyncClient) Close() error {
	var errs []error
	for _, conns := range c.redis {
		errs = append(errs, conns.Close())
	}
	return errors.Join(errs...)
}

type redSyncHeld struct{ *redsync.Mutex }

func (h redSyncHeld) Release(ctx context.Context) error {
	ok, err := h.UnlockContext(ctx)
	if err == nil && !ok {
		return errGone
	}
	return err
}
