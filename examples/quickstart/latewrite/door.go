package latewrite

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/driver"
)

// door is who holds the lock until all workers wait for it, each behind the one
// before, so that they come in this order however long it takes to connect.
type door struct {
	client *fencelock.Client
	lease  *fencelock.Lease
	life   time.Duration // of a lease without renewal: ttl, or what the server grants instead
}

func closeDoor(ctx context.Context, url string) (*door, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	opts := &fencelock.Options{TTL: ttl, Identity: "door", Logger: slog.New(slog.DiscardHandler)}
	client, err := fencelock.Open(ctx, url, opts)
	if err != nil {
		return nil, err
	}
	lease, err := client.Lock(ctx, key)
	if err != nil {
		client.Close()
		return nil, err
	}
	return &door{client, lease, time.Until(lease.ValidUntil())}, nil
}

// awaitLine returns when n workers wait at the server. One that keeps no queue
// cannot tell, and lets them in as they come.
func (d *door) awaitLine(ctx context.Context, n int) error {
	for d.client.Info().Features.Has(driver.Fair) {
		status, err := d.client.Inspect(ctx, key)
		if err != nil || status.Waiters >= n || d.lease.Err() != nil {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

// open lets them in. On a machine so slow that the door's own lease was lost, they
// were in already.
func (d *door) open(ctx context.Context) error {
	if err := d.lease.Unlock(ctx); err != nil && !errors.Is(err, fencelock.ErrLost) {
		return err
	}
	return nil
}
