package invoices

import (
	"context"
	"crypto/rand"

	"github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/fencing"
)

// Rolling holds both, the old lock first. The old one is not renewed, so the work may take
// nine tenths of its TTL, counted from before the request.
func Rolling(ctx context.Context, addr, url, invoice string, charge func(context.Context, fencing.Token) error) error {
	rdb := redis.NewClient(&redis.Options{Addr: addr})
	defer rdb.Close()
	locker, err := fencelock.Open(ctx, url, nil)
	if err != nil {
		return err
	}
	defer locker.Close()

	ctx, cancel := context.WithTimeout(ctx, ttl*9/10)
	defer cancel()
	key, value := "lock:invoice:"+invoice, rand.Text()
	ok, err := rdb.SetNX(ctx, key, value, ttl).Result()
	if err != nil {
		return err
	}
	if !ok {
		return errBusy
	}
	defer release.Run(context.WithoutCancel(ctx), rdb, []string{key}, value)

	return fencelock.Do(ctx, locker, "invoices/"+invoice, func(ctx context.Context, lease *fencelock.Lease) error {
		return charge(ctx, lease.Token()) // ctx ends with whichever lock ends first
	})
}
