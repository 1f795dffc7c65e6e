package redisbench

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/rueidis/rueidislock"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

// RueidisLock is set up as its README says, client-side caching on.
func RueidisLock(at Connections) contest.Contestant {
	return contest.Contestant{
		Name:   RueidisName,
		Renews: true,
		Waits:  "is woken with all others, by push",
		Keys: func(key string) []string {
			keys := make([]string, 2*at.Majority-1)
			for i := range keys {
				keys[i] = fmt.Sprintf("rueidislock:%d:%s", i, key)
			}
			return keys
		},
		Open: func(_ context.Context, o contest.Options) (contest.Client, error) {
			l, err := rueidislock.NewLocker(rueidislock.LockerOption{
				ClientOption:   at.rueidis(o),
				KeyValidity:    o.TTL,
				KeyMajority:    at.Majority,
				NoLoopTracking: true,
				// Its default of 20 ms is soon over on a busy machine, and after that it waits for a wake-up that nobody sends:
				// with 256 clients it slept for good on keys that were free.
				TryNextAfter: time.Second,
			})
			if err != nil {
				return nil, err
			}
			return rueidisClient{l}, nil
		},
	}
}

type rueidisClient struct{ rueidislock.Locker }

func (c rueidisClient) Lock(ctx context.Context, key string) (contest.Held, error) {
	_, cancel, err := c.WithContext(ctx, key)
	if err != nil {
		return nil, err
	}
	return rueidisHeld(cancel), nil
}

func (c rueidisClient) Close() error {
	c.Locker.Close()
	return nil
}

type rueidisHeld context.CancelFunc

// Release takes no context and reports nothing: that is all its API has.
func (release rueidisHeld) Release(context.Context) error {
	release()
	return nil
}
