package etcd

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// Acquire makes a claim, a key below the name of the lock, and holds the lock if
// there is no older claim. Otherwise it waits: it watches the next older one, see waitInQueue.
//
// One transaction makes the claim. The answer to it may be lost. Asking again
// finds the claim, by the attempt ID in its value. Releasing either deletes the claim or, by a write
// to the epoch key of the session, makes sure that it is never made.
func (b *backend) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	a, err := b.enter(ctx, req)
	if err != nil {
		return driver.Grant{}, err
	}
	defer b.leave(a)
	if !req.Wait {
		return b.tryAcquire(ctx, a)
	}
	first, err := b.makeClaim(ctx, a, false)
	if err != nil {
		return driver.Grant{}, err
	}
	if !first {
		if req.Waiting == nil {
			req.Waiting = func() {}
		}
		req.Waiting() // a majority has answered
		if err := b.waitInQueue(ctx, a, req); err != nil {
			return driver.Grant{}, err
		}
	}
	return b.grant(ctx, a)
}

// tryAcquire reads first: a transaction that might write costs the server a write, even if it
// writes nothing.
func (b *backend) tryAcquire(ctx context.Context, a *attempt) (driver.Grant, error) {
	claims, err := read(ctx, b, a.session.ttl, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return b.client.Get(ctx, b.prefix(a.Key), clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(1))
	})
	if err != nil {
		return driver.Grant{}, err
	}
	b.mu.Lock()
	known := a.Sent // our claim may be among them
	b.mu.Unlock()
	if len(claims.Kvs) > 0 && !known {
		return driver.Grant{}, &driver.HeldError{}
	}
	first, err := b.makeClaim(ctx, a, true)
	switch {
	case err != nil:
		return driver.Grant{}, err
	case !first:
		return driver.Grant{}, &driver.HeldError{}
	}
	return b.grant(ctx, a)
}

// makeClaim makes the claim of an attempt, or finds it, and reports whether no claim is
// older. With onlyIfFree set it makes the claim only if there is no other at all. For an attempt that is held
// it makes none: its claim is there, or the grant is lost.
//
// Make against Release: the epoch is read before the attempt is looked at. If Release was first, nothing is sent.
// If Release comes after that look, so does its write to the epoch key, and the epoch
// that was read is an older one, with which nothing is made any more.
func (b *backend) makeClaim(ctx context.Context, a *attempt, onlyIfFree bool) (first bool, err error) {
	prev := b.localPredecessor(a)
	for {
		epoch := a.session.currentEpoch()
		b.mu.Lock()
		held, err := a.Phase() == attempts.Held, a.Err()
		a.Sent = a.Sent || err == nil
		b.mu.Unlock()
		switch {
		case err != nil:
			return false, err
		case held:
			p, err := b.readPosition(ctx, a, 0, true)
			return p.first(), err
		}
		answer, err := b.putClaim(ctx, a, epoch, onlyIfFree)
		if err != nil {
			b.mu.Lock()
			a.Late = true
			b.mu.Unlock()
			if leaseGone(err) {
				a.session.end(errGone)
				return false, errSessionGone
			}
			return false, b.requestError(ctx, err)
		}
		if answer.Succeeded {
			b.sawClaim(a, answer.Header.Revision)
			switch count := answer.Responses[0].GetResponseRange().Count; {
			case onlyIfFree || count == 0:
				return true, nil
			case count == 1 && prev != nil:
				return b.isNext(ctx, a, prev), nil
			}
			return false, nil
		}
		made, others, err := b.whyNoClaim(ctx, a)
		switch {
		case err != nil:
			return false, err
		case made:
			p, err := b.readPosition(ctx, a, answer.Header.Revision, false)
			return p.first(), err
		case onlyIfFree && others: // nothing was made, unless by another request
			b.mu.Lock()
			a.Sent = a.Late || a.Calls() > 1
			b.mu.Unlock()
			return false, nil
		}
		// The epoch key had changed, and whyNoClaim has seen how: ask again.
	}
}

// putClaim sends the transaction that makes a claim. It counts the other claims, which is cheap for
// the server. Sorting them, to find the next older one, would hold up all other writes of the server.
func (b *backend) putClaim(ctx context.Context, a *attempt, epoch int64, onlyIfFree bool) (*clientv3.TxnResponse, error) {
	s := a.session
	ctx, cancel := b.bound(ctx, driver.RequestTimeout(s.ttl))
	defer cancel()
	prefix := b.prefix(a.Key)
	conditions := []clientv3.Cmp{
		clientv3.Compare(clientv3.CreateRevision(a.name), "=", 0),
		clientv3.Compare(clientv3.ModRevision(s.epochKey), "=", epoch),
	}
	if onlyIfFree { // true of all claims only if there are none
		conditions = append(conditions, clientv3.Compare(clientv3.CreateRevision(prefix), "=", 0).WithPrefix())
	}
	return b.batch.commit(ctx, &pendingTxn{
		key: a.Key, conditions: conditions, timeout: driver.RequestTimeout(s.ttl),
		then: []clientv3.Op{
			clientv3.OpGet(prefix, clientv3.WithPrefix(), clientv3.WithCountOnly()),
			clientv3.OpPut(a.name, a.value(), clientv3.WithLease(s.id)),
		},
	})
}

// whyNoClaim finds out why nothing was made: there is our claim, made by an earlier
// request whose answer was lost; or others; or the epoch key has changed. It is a
// request of its own: whatever a transaction reads in its other branch would have to
// go through the log with it.
func (b *backend) whyNoClaim(ctx context.Context, a *attempt) (own, others bool, err error) {
	s := a.session
	answer, err := read(ctx, b, s.ttl, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return b.client.Txn(ctx).Then(
			clientv3.OpGet(a.name),
			clientv3.OpGet(b.prefix(a.Key), clientv3.WithPrefix(), clientv3.WithCountOnly()),
			clientv3.OpGet(s.epochKey, clientv3.WithKeysOnly()),
		).Commit()
	})
	if err != nil {
		return false, false, err
	}
	epochKey := answer.Responses[2].GetResponseRange().Kvs
	if len(epochKey) == 0 {
		s.end(errGone)
		return false, false, errSessionGone
	}
	s.sawEpoch(epochKey[0].ModRevision)
	others = answer.Responses[1].GetResponseRange().Count > 0
	for _, kv := range answer.Responses[0].GetResponseRange().Kvs {
		if string(kv.Value) != a.value() {
			return false, others, fmt.Errorf("etcd: %s has the value of another claim: do programs other than this write to it?", kv.Key)
		}
		b.sawClaim(a, kv.CreateRevision)
		own = true
	}
	return own, others, nil
}
