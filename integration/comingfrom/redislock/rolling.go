package invoices

import (
	"context"
	"time"

	"github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/fencing"
)

// Rolling holds both, redislock's first. That one is not renewed, so the work may take nine
// tenths of its TTL.
func Rolling(ctx context.Context, addr, url, invoice string, charge func(context.Context, fencing.Token) error) error {
	client := redis.NewClient(&redis.Options{Network: "tcp", Addr: addr})
	defer client.Close()
	locker, err := fencelock.Open(ctx, url, nil)
	if err != nil {
		return err
	}
	defer locker.Close()

	lock, err := redislock.Obtain(ctx, client, "invoice:"+invoice, ttl, &redislock.Options{
		RetryStrategy: redislock.LinearBackoff(100 * time.Millisecond),
	})
	if err != nil {
		return err
	}
	defer lock.Release(context.WithoutCancel(ctx))
	asked := time.Now()
	if err := lock.Refresh(ctx, ttl, nil); err != nil { // since when it counts is not known otherwise
		return err
	}
	ctx, cancel := context.WithDeadline(ctx, asked.Add(ttl*9/10))
	defer cancel()

	return fencelock.Do(ctx, locker, "invoices/"+invoice, func(ctx context.Context, lease *fencelock.Lease) error {
		return charge(ctx, lease.Token()) // ctx ends with whichever lock ends first
	})
}
