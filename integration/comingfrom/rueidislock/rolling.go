package invoices

import (
	"context"
	"time"

	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislock"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/fencing"
)

// Rolling holds both, rueidislock's first. Its context is the parent of the lease's.
func Rolling(ctx context.Context, addr, url, invoice string, charge func(context.Context, fencing.Token) error) error {
	old, err := rueidislock.NewLocker(rueidislock.LockerOption{
		ClientOption:   rueidis.ClientOption{InitAddress: []string{addr}},
		KeyMajority:    1,
		NoLoopTracking: true,
		TryNextAfter:   time.Second, // of 20 ms, its default, a busy machine makes a wait without end
	})
	if err != nil {
		return err
	}
	defer old.Close()
	locker, err := fencelock.Open(ctx, url, nil)
	if err != nil {
		return err
	}
	defer locker.Close()

	ctx, cancel, err := old.WithContext(ctx, "invoice:"+invoice)
	if err != nil {
		return err
	}
	defer cancel()

	return fencelock.Do(ctx, locker, "invoices/"+invoice, func(ctx context.Context, lease *fencelock.Lease) error {
		return charge(ctx, lease.Token()) // ctx ends with whichever lock ends first
	})
}
