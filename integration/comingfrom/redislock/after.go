package invoices

import (
	"context"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/fencing"
)

// After charges an invoice under a lock of fencelock, at a URL like redis://host:6379.
func After(ctx context.Context, url, invoice string, charge func(context.Context, fencing.Token) error) error {
	locker, err := fencelock.Open(ctx, url, nil) // once, at the start of the program
	if err != nil {
		return err
	}
	defer locker.Close()

	return fencelock.Do(ctx, locker, "invoices/"+invoice, func(ctx context.Context, lease *fencelock.Lease) error {
		return charge(ctx, lease.Token()) // ctx ends before another can get the lock
	})
}
