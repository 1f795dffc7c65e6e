package redisbench

import (
	"github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

// Names used by the budgets.
const (
	rawName     = "raw"
	rueidisName = "rueidislock"
)

// Contestants lists ours first. Every client they open has its own connections to the server at addr.
func Contestants(addr string) []contest.Contestant {
	return []contest.Contestant{
		fenceLock(addr),
		raw(addr),
		rawToken(addr),
		rueidisLock(addr),
		redisLock(addr),
		redSync(addr),
	}
}

// goRedis opens a go-redis client as its README does. The pool size is the library's default for everybody.
func goRedis(addr string, o contest.Options) *redis.Client {
	return redis.NewClient(&redis.Options{Addr: addr, Dialer: o.Dial})
}
