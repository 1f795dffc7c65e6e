package redisbench

import (
	"context"
	"math"
	"time"

	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

func redSync(addr string) contest.Contestant {
	return contest.Contestant{
		Name:  "redsync",
		Waits: "asks every 50–250ms",
		Open: func(_ context.Context, o contest.Options) (contest.Client, error) {
			c := goRedis(addr, o)
			return &redSyncClient{redis: c, sync: redsync.New(goredis.NewPool(c)), ttl: o.TTL}, nil
		},
	}
}

type redSyncClient struct {
	redis *redis.Client
	sync  *redsync.Redsync
	ttl   time.Duration
}

func (c *redSyncClient) Lock(ctx context.Context, key string) (contest.Held, error) {
	// Its default gives up after 32 tries, about 5 s; here it is to wait as long as the others do.
	m := c.sync.NewMutex(key, redsync.WithExpiry(c.ttl), redsync.WithTries(math.MaxInt))
	if err := m.LockContext(ctx); err != nil {
		return nil, err
	}
	return redSyncHeld{m}, nil
}

func (c *redSyncClient) Close() error { return c.redis.Close() }

type redSyncHeld struct{ *redsync.Mutex }

func (h redSyncHeld) Release(ctx context.Context) error {
	ok, err := h.UnlockContext(ctx)
	if err == nil && !ok {
		return errGone
	}
	return err
}
