package redisbench

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

// rawPoll is how often a waiter of the bare commands asks again: there is nothing else that it could do.
const rawPoll = time.Millisecond

var (
	deleteIfOurs = redis.NewScript(`
		if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
		return 0`)
	setAndCount = redis.NewScript(`
		if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return redis.call('INCR', KEYS[2]) end
		return 0`)
)

// errGone says that the lock was not ours any more when it was released.
var errGone = errors.New("released a lock that was not held")

// Raw is the least that any lock on Redis can cost: SET NX PX, and a script that deletes what is still ours.
func Raw(at Connections) contest.Contestant { return rawContestant(at, RawName, setIfFree) }

func setIfFree(ctx context.Context, c *rawClient, key, owner string) (bool, error) {
	err := c.redis.SetArgs(ctx, key, owner, redis.SetArgs{Mode: "NX", TTL: c.ttl}).Err()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	return err == nil, err
}

// RawPipelined is the least that it can cost where many callers share a client: the same commands, of which go-redis
// sends those together that come while others are under way.
func RawPipelined(at Connections) contest.Contestant {
	c := rawContestant(at, RawName+", pipelined", setIfFree)
	c.Floor = true // it adds nothing where clients wait for each other
	c.Open = func(_ context.Context, o contest.Options) (contest.Client, error) {
		conns := at.GoRedis(o)
		together, err := conns.AutoPipeline()
		if err != nil {
			_ = conns.Close()
			return nil, err
		}
		// The connections' Close ends what sends by them, too.
		return &rawClient{redis: together, close: conns.Close, ttl: o.TTL, try: setIfFree}, nil
	}
	return c
}

// rawToken is the least that a lock with a fencing token can cost: the same, and a counter in the same script.
func rawToken(at Connections) contest.Contestant {
	c := rawContestant(at, "raw+token", func(ctx context.Context, c *rawClient, key, owner string) (bool, error) {
		token, err := setAndCount.Run(ctx, c.redis, []string{key, "bench:raw:token"}, owner, c.ttl.Milliseconds()).Int64()
		return token > 0, err
	})
	c.Token = true
	return c
}

type tryFunc func(ctx context.Context, c *rawClient, key, owner string) (bool, error)

func rawContestant(at Connections, name string, try tryFunc) contest.Contestant {
	return contest.Contestant{
		Name:  name,
		Bare:  true,
		Waits: "asks every " + rawPoll.String(),
		Open: func(_ context.Context, o contest.Options) (contest.Client, error) {
			conns := at.GoRedis(o)
			return &rawClient{redis: conns, close: conns.Close, ttl: o.TTL, try: try}, nil
		},
	}
}

type rawClient struct {
	redis redis.Cmdable
	close func() error
	ttl   time.Duration
	try   tryFunc
}

func (c *rawClient) Lock(ctx context.Context, key string) (contest.Held, error) {
	owner := rand.Text()
	for {
		ok, err := c.try(ctx, c, key, owner)
		if err != nil {
			return nil, err
		}
		if ok {
			return &rawHeld{redis: c.redis, key: key, owner: owner}, nil
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(rawPoll):
		}
	}
}

func (c *rawClient) Close() error { return c.close() }

type rawHeld struct {
	redis      redis.Cmdable
	key, owner string
}

func (h *rawHeld) Release(ctx context.Context) error {
	n, err := deleteIfOurs.Run(ctx, h.redis, []string{h.key}, h.owner).Int64()
	if err == nil && n == 0 {
		return errGone
	}
	return err
}
