package sentinelbench

import (
	"context"
	"io"

	"github.com/redis/go-redis/v9"

	redisbackend "github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/bench/internal/contest"
	"github.com/fencelock/fencelock/bench/internal/ours"
	"github.com/fencelock/fencelock/bench/internal/redisbench"
	"github.com/fencelock/fencelock/driver"
)

func fenceLock(addr string) contest.Contestant {
	return redisbench.FenceLock("redis+sentinel://"+addr+"?namespace="+ours.Namespace,
		func(ctx context.Context, o contest.Options) (driver.Backend, io.Closer, error) {
			addrs, name := split(addr)
			b, err := redisbackend.NewFailover(ctx, &redis.FailoverOptions{SentinelAddrs: addrs, MasterName: name, Dialer: o.Dial}, redisbench.BackendOptions())
			return b, nil, err
		})
}
