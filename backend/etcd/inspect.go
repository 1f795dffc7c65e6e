package etcd

import (
	"context"
	"errors"
	"fmt"
	"time"

	mvccpb "go.etcd.io/etcd/api/v3/mvccpb"
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
	status, err := b.inspect(bounded, key)
	if err != nil {
		return driver.Status{}, b.requestError(ctx, err)
	}
	return status, nil
}

// inspect is Inspect within a bound context. It returns the client's errors.
func (b *backend) inspect(ctx context.Context, key string) (driver.Status, error) {
	for {
		answer, err := b.client.Get(ctx, b.prefix(key), clientv3.WithFirstCreate()...)
		if err != nil {
			return driver.Status{}, err
		}
		if len(answer.Kvs) == 0 {
			return driver.Status{Key: key}, nil
		}
		holder := answer.Kvs[0]
		var left time.Duration
		if holder.Lease != 0 { // else somebody else has put it there, and it does not end by itself
			left, err = b.leaseLeft(ctx, clientv3.LeaseID(holder.Lease))
		}
		if err != nil {
			return driver.Status{}, err
		}
		if left < 0 {
			continue // its lease ended in between, and the claim with it: look again
		}
		return driver.Status{Key: key, Holders: []driver.Holder{holderOf(holder, left)}, Waiters: int(answer.Count) - 1}, nil
	}
}

// holderOf tells of the holder what its claim says.
func holderOf(claim *mvccpb.KeyValue, left time.Duration) driver.Holder {
	h := driver.Holder{Token: fencing.Token(claim.CreateRevision), Left: left}
	h.AttemptID, h.Identity, h.Meta = parseValue(claim.Value)
	return h
}

// Evict deletes the claim of a key's holder, and tells the holder: by a write to
// the epoch key of its session, in the same transaction. The transaction compares the revision that
// made the claim, so it deletes no other. If the holder goes by itself in the meantime, the next
// one stays: nobody asked for its eviction.
func (b *backend) Evict(ctx context.Context, key, attemptID string) error {
	bounded, cancel := b.bound(ctx, adminTimeout)
	defer cancel()
	answer, err := b.client.Get(bounded, b.prefix(key), clientv3.WithFirstCreate()...)
	if err != nil {
		return b.requestError(ctx, err)
	}
	if len(answer.Kvs) == 0 {
		return driver.ErrNotHeld
	}
	holder := answer.Kvs[0]
	holds, _, _ := parseValue(holder.Value)
	if attemptID != "" && attemptID != holds {
		return driver.ErrNotHeld
	}
	if isNested(holder, b.prefix(key)) {
		// To delete it would end the session of another namespace, with all its locks.
		return fmt.Errorf("%w: etcd: %s is no claim of this lock; a namespace lies within this one, as \"a/locks\" within \"a\": give it another name",
			driver.ErrRefused, holder.Key)
	}
	lease := clientv3.LeaseID(holder.Lease)
	evict := []clientv3.Op{clientv3.OpDelete(string(holder.Key))}
	if lease != 0 { // else no session of ours has it
		evict = append(evict, clientv3.OpPut(b.epochKeyOf(lease), holds, clientv3.WithLease(lease)))
	}
	evicted, err := b.client.Txn(bounded).
		If(clientv3.Compare(clientv3.CreateRevision(string(holder.Key)), "=", holder.CreateRevision)).
		Then(evict...).Commit()
	switch {
	case err == nil && evicted.Succeeded:
		return nil
	case err == nil || leaseGone(err): // if the lease is gone, so is the claim
		if attemptID != "" {
			return driver.ErrNotHeld // it ended by itself
		}
		return nil // whoever held it then does not any more
	case !errors.Is(err, rpctypes.ErrNoSpace):
		return b.requestError(ctx, err)
	}
	_, err = b.claimRemains(ctx, bounded, string(holder.Key), holder.Value, err)
	return err // nil: it was carried out, or the holder has gone by itself
}
