package etcd

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	mvccpb "go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/backend/etcd/internal/cluster"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// adminTimeout bounds a request that is not about a lease.
const adminTimeout = 3 * time.Second

// lister reads who holds which lock, for people. It needs no session, and makes none.
type lister struct {
	conn *cluster.Conn
	ns   namespace
}

// Inspect tells who holds a key.
func (l *lister) Inspect(ctx context.Context, key string) (driver.Status, error) {
	bounded := l.conn.Bound(ctx, adminTimeout)
	defer bounded.End()
	status, err := l.inspect(bounded, key)
	if err != nil {
		return driver.Status{}, l.conn.RequestError(ctx, err)
	}
	return status, nil
}

// inspect is Inspect within a bound context. It returns the client's errors.
func (l *lister) inspect(ctx context.Context, key string) (driver.Status, error) {
	for {
		answer, err := l.conn.Client.Get(ctx, l.ns.prefix(key), clientv3.WithFirstCreate()...)
		if err != nil {
			return driver.Status{}, err
		}
		if len(answer.Kvs) == 0 {
			return driver.Status{Key: key}, nil
		}
		holder := answer.Kvs[0]
		var left time.Duration
		if holder.Lease != 0 { // else somebody else has put it there, and it does not end by itself
			left, err = l.leaseLeft(ctx, clientv3.LeaseID(holder.Lease))
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
	bounded := b.conn.Bound(ctx, adminTimeout)
	defer bounded.End()
	answer, err := b.conn.Client.Get(bounded, b.ns.prefix(key), clientv3.WithFirstCreate()...)
	if err != nil {
		return b.conn.RequestError(ctx, err)
	}
	if len(answer.Kvs) == 0 {
		return driver.ErrNotHeld
	}
	holder := answer.Kvs[0]
	holds, _, _ := parseValue(holder.Value)
	if attemptID != "" && attemptID != holds {
		return driver.ErrNotHeld
	}
	if isNested(holder, b.ns.prefix(key)) {
		// To delete it would end the session of another namespace, with all its locks.
		return fmt.Errorf("%w: etcd: %s is no claim of this lock; a namespace lies within this one, as \"a/locks\" within \"a\": give it another name",
			driver.ErrRefused, holder.Key)
	}
	lease := clientv3.LeaseID(holder.Lease)
	evict := []clientv3.Op{clientv3.OpDelete(string(holder.Key))}
	if lease != 0 { // else no session of ours has it
		evict = append(evict, clientv3.OpPut(b.ns.epochKey(lease), holds, clientv3.WithLease(lease)))
	}
	evicted, err := b.conn.Client.Txn(bounded).
		If(clientv3.Compare(clientv3.CreateRevision(string(holder.Key)), "=", holder.CreateRevision)).
		Then(evict...).Commit()
	switch {
	case err == nil && evicted.Succeeded:
		return nil
	case err == nil || cluster.LeaseGone(err): // if the lease is gone, so is the claim
		if attemptID != "" {
			return driver.ErrNotHeld // it ended by itself
		}
		return nil // whoever held it then does not any more
	case !errors.Is(err, rpctypes.ErrNoSpace):
		return b.conn.RequestError(ctx, err)
	}
	_, err = claimRemains(ctx, bounded, b.conn, string(holder.Key), holder.Value, err)
	return err // nil: it was carried out, or the holder has gone by itself
}

// claimRemains sorts the error of a transaction that a server without space has refused. The
// transaction would have deleted the claim with this name and value. As a rule the server refuses
// before it does anything; but the transaction for which it notices that there is no space has been
// carried out, and gets the same answer (etcd's quotaApplierV3). So claimRemains reads the key: if the
// claim is there, nothing was done.
func claimRemains(ctx, bounded context.Context, c *cluster.Conn, name string, value []byte, noSpace error) (there bool, err error) {
	answer, err := c.Client.Get(bounded, name)
	if err != nil {
		return false, c.RequestError(ctx, noSpace)
	}
	for _, kv := range answer.Kvs {
		if bytes.Equal(kv.Value, value) {
			return true, fmt.Errorf("%w: %w: %w", driver.ErrUnavailable, driver.ErrRefused, noSpace)
		}
	}
	return false, nil
}
