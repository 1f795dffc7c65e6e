package redlockbench

import (
	"context"
	"crypto/rand"
	"errors"
	mathrand "math/rand/v2"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

// rawPoll is the longest time after which a waiter of the bare commands asks again. The time is drawn again for each try,
// since those that ask at the same moment would split the votes again.
const rawPoll = 2 * time.Millisecond

// oneRound is the least that a lock on several masters can cost: SET NX PX to all of them at once, and an answer at a
// majority; to free it, a script that deletes what is still ours, likewise.
func oneRound(masters []string) contest.Contestant {
	return raw(masters, oneRoundName, func(ctx context.Context, h *rawHeld, node int) (uint64, error) {
		err := h.client.nodes[node].SetArgs(ctx, h.key, h.owner, redis.SetArgs{Mode: "NX", TTL: h.client.ttl}).Err()
		if errors.Is(err, redis.Nil) {
			return 0, nil
		}
		return 1, err
	}, nil)
}

var (
	setAndCount = redis.NewScript(`
		if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return redis.call('INCR', KEYS[2]) end
		return 0`)
	raiseIfOurs = redis.NewScript(`
		if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
		if tonumber(redis.call('GET', KEYS[2]) or 0) < tonumber(ARGV[2]) then redis.call('SET', KEYS[2], ARGV[2]) end
		return 1`)
	deleteIfOurs = redis.NewScript(`
		if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
		return 0`)
)

const rawCounter = "bench:raw:token"

// twoRounds is the least that a lock with a fencing token can cost where the token is always written back: the same with a
// counter in the script, and then a second script that raises the counters of those that took part to the highest.
func twoRounds(masters []string) contest.Contestant {
	c := raw(masters, twoRoundsName, func(ctx context.Context, h *rawHeld, node int) (uint64, error) {
		n, err := setAndCount.Run(ctx, h.client.nodes[node], []string{h.key, rawCounter}, h.owner, h.client.ttl.Milliseconds()).Uint64()
		return n, err
	}, func(ctx context.Context, h *rawHeld, node int, token uint64) (bool, error) {
		n, err := raiseIfOurs.Run(ctx, h.client.nodes[node], []string{h.key, rawCounter}, h.owner, token).Int()
		return n > 0, err
	})
	c.Token = true
	return c
}

// A takeFunc takes the key on one node. What it returns is zero if another has it.
type takeFunc func(ctx context.Context, h *rawHeld, node int) (uint64, error)

// A writeFunc writes a token back to one node, and tells whether the key was still ours there.
type writeFunc func(ctx context.Context, h *rawHeld, node int, token uint64) (bool, error)

func raw(masters []string, name string, take takeFunc, write writeFunc) contest.Contestant {
	return contest.Contestant{
		Name:  name,
		Bare:  true,
		Waits: "asks every 0–" + rawPoll.String(),
		Open: func(_ context.Context, o contest.Options) (contest.Client, error) {
			c := &rawClient{ttl: o.TTL, take: take, write: write}
			for _, addr := range masters {
				c.nodes = append(c.nodes, redis.NewClient(&redis.Options{Addr: addr, Dialer: o.Dial}))
			}
			return c, nil
		},
	}
}

type rawClient struct {
	nodes []*redis.Client
	ttl   time.Duration
	take  takeFunc
	write writeFunc // nil: one round
}

func (c *rawClient) Lock(ctx context.Context, key string) (contest.Held, error) {
	for {
		h := newRawHeld(c, key, rand.Text())
		ok, err := h.lock(ctx)
		if ok {
			return h, nil
		}
		// Not the caller's context: what has been won must not stay.
		_, _ = h.free(context.Background())
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(mathrand.N(rawPoll)):
		}
	}
}

func (c *rawClient) Close() error {
	var errs []error
	for _, node := range c.nodes {
		errs = append(errs, node.Close())
	}
	return errors.Join(errs...)
}
