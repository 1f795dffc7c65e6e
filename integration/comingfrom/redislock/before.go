package invoices

import (
	"context"
	"time"

	"github.com/bsm/redislock"
	"github.com/redis/go-redis/v9"
)

const ttl = 30 * time.Second

// Before charges an invoice under a lock of redislock, which it asks for every 100 ms.
func Before(ctx context.Context, addr, invoice string, charge func(context.Context) error) error {
	client := redis.NewClient(&redis.Options{Network: "tcp", Addr: addr})
	defer client.Close()
	locker := redislock.New(client)

	lock, err := locker.Obtain(ctx, "invoice:"+invoice, ttl, &redislock.Options{
		RetryStrategy: redislock.LinearBackoff(100 * time.Millisecond),
	})
	if err != nil {
		return err // redislock.ErrNotObtained, or the context's
	}
	defer lock.Release(context.WithoutCancel(ctx))

	return charge(ctx)
}
