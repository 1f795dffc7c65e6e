package redisbench

import (
	"context"
	"crypto/tls"
	"net"
	"time"

	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislock"

	"github.com/fencelock/fencelock/bench/internal/contest"
)

// rueidisLock is set up as its README says for a single Redis, client-side caching on.
func rueidisLock(addr string) contest.Contestant {
	return contest.Contestant{
		Name:   rueidisName,
		Renews: true,
		Waits:  "is woken with all others, by push",
		Open: func(_ context.Context, o contest.Options) (contest.Client, error) {
			client := rueidis.ClientOption{InitAddress: []string{addr}}
			if o.Dial != nil {
				client.DialCtxFn = func(ctx context.Context, address string, _ *net.Dialer, _ *tls.Config) (net.Conn, error) {
					return o.Dial(ctx, "tcp", address)
				}
			}
			l, err := rueidislock.NewLocker(rueidislock.LockerOption{
				ClientOption:   client,
				KeyValidity:    o.TTL,
				KeyMajority:    1,
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
