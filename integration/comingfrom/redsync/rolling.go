package invoices

import (
	"context"

	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	goredislib "github.com/redis/go-redis/v9"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/fencing"
)

// Rolling holds both, redsync's first. That one is not renewed; Until says how long the work
// may take.
func Rolling(ctx context.Context, addr, url, invoice string, charge func(context.Context, fencing.Token) error) error {
	client := goredislib.NewClient(&goredislib.Options{Addr: addr})
	defer client.Close()
	rs := redsync.New(goredis.NewPool(client))
	locker, err := fencelock.Open(ctx, url, nil)
	if err != nil {
		return err
	}
	defer locker.Close()

	mutex := rs.NewMutex("invoice:" + invoice)
	if err := mutex.LockContext(ctx); err != nil {
		return err
	}
	defer mutex.UnlockContext(context.WithoutCancel(ctx))
	ctx, cancel := context.WithDeadline(ctx, mutex.Until())
	defer cancel()

	return fencelock.Do(ctx, locker, "invoices/"+invoice, func(ctx context.Context, lease *fencelock.Lease) error {
		return charge(ctx, lease.Token()) // ctx ends with whichever lock ends first
	})
}
