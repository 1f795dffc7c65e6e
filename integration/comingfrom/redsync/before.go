package invoices

import (
	"context"

	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	goredislib "github.com/redis/go-redis/v9"
)

// Before charges an invoice under a mutex of redsync: of 8 s, asked for 32 times.
func Before(ctx context.Context, addr, invoice string, charge func(context.Context) error) error {
	client := goredislib.NewClient(&goredislib.Options{Addr: addr})
	defer client.Close()
	rs := redsync.New(goredis.NewPool(client))

	mutex := rs.NewMutex("invoice:" + invoice)
	if err := mutex.LockContext(ctx); err != nil {
		return err
	}
	defer mutex.UnlockContext(context.WithoutCancel(ctx))

	return charge(ctx)
}
