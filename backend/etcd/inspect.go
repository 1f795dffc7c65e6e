package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// adminTimeout bounds a request that is not about a lease.
const adminTimeout = 3 * time.Second

// Inspect tells who holds a key.
func (b *backend) Inspect(ctx context.Context, key string) (driver.Status, error) {
	bounded, cancel := b.bound(ctx, adminTimeout)
	defer cancel()
	for {
		answer, err := b.client.Get(bounded, b.prefix(key), clientv3.WithFirstCreate()...)
		if err != nil {
			return driver.Status{}, b.requestFault(ctx, err)
		}
		if len(answer.Kvs) == 0 {
			return driver.Status{Key: key}, nil
		}
		holder := answer.Kvs[0]
		lease, err := b.client.TimeToLive(bounded, clientv3.LeaseID(holder.Lease))
		if err != nil && !leaseGone(err) {
			return driver.Status{}, b.requestFault(ctx, err)
		}
		if err != nil || lease.TTL < 0 {
			continue // its lease ended in between, and the claim with it: look again
		}
		h := driver.Holder{
			Token: fencing.Token(holder.CreateRevision),
			Left:  time.Duration(lease.TTL+1) * time.Second, // it tells whole seconds, cut
		}
		h.AttemptID, h.Identity, h.Meta = parseValue(holder.Value)
		return driver.Status{Key: key, Holders: []driver.Holder{h}, Waiters: int(answer.Count) - 1}, nil
	}
}

// Evict deletes the claim of a key's holder, and tells the holder: by a write to
// the fence of its session, in the same transaction. If the holder goes by itself in
// the meantime, the next one stays: nobody asked for its eviction.
func (b *backend) Evict(ctx context.Context, key, attemptID string) error {
	if attemptID != "" {
		return fmt.Errorf("%w: to evict one attempt", driver.ErrUnsupported)
	}
	bounded, cancel := b.bound(ctx, adminTimeout)
	defer cancel()
	answer, err := b.client.Get(bounded, b.prefix(key), clientv3.WithFirstCreate()...)
	if err != nil {
		return b.requestFault(ctx, err)
	}
	if len(answer.Kvs) == 0 {
		return driver.ErrNotHeld
	}
	holder := answer.Kvs[0]
	owner, _, _ := parseValue(holder.Value)
	lease := clientv3.LeaseID(holder.Lease)
	_, err = b.client.Txn(bounded).
		If(clientv3.Compare(clientv3.CreateRevision(string(holder.Key)), "=", holder.CreateRevision)).
		Then(
			clientv3.OpDelete(string(holder.Key)),
			clientv3.OpPut(b.fenceKey(lease), owner, clientv3.WithLease(lease)),
		).Commit()
	switch {
	case err == nil || leaseGone(err): // if it is gone, so is the claim
		return nil
	case !errors.Is(err, rpctypes.ErrNoSpace):
		return b.requestFault(ctx, err)
	}
	_, err = b.spared(ctx, bounded, string(holder.Key), holder.Value, err)
	return err // nil: it was carried out, or the holder has gone by itself
}

// ListHeld is not there yet.
func (b *backend) ListHeld(context.Context, string, string, int) (driver.Page, error) {
	return driver.Page{}, fmt.Errorf("%w: to list", driver.ErrUnsupported)
}
