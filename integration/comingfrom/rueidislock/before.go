package invoices

import (
	"context"
	"time"

	"github.com/redis/rueidis"
	"github.com/redis/rueidis/rueidislock"
)

// Before charges an invoice under a lock of rueidislock, set up for one Redis.
func Before(ctx context.Context, addr, invoice string, charge func(context.Context) error) error {
	locker, err := rueidislock.NewLocker(rueidislock.LockerOption{
		ClientOption:   rueidis.ClientOption{InitAddress: []string{addr}},
		KeyMajority:    1,
		NoLoopTracking: true,
		TryNextAfter:   time.Second, // of 20 ms, its default, a busy machine makes a wait without end
	})
	if err != nil {
		return err
	}
	defer locker.Close()

	ctx, cancel, err := locker.WithContext(ctx, "invoice:"+invoice)
	if err != nil {
		return err
	}
	defer cancel() // releases the lock

	return charge(ctx)
}
