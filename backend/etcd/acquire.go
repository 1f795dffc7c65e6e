package etcd

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/driver"
)

// Acquire makes a claim, a key below the name of the lock, and holds the lock if
// there is no older claim. Otherwise it waits: it watches the next older one, see waitInQueue.
//
// One transaction makes the claim. The answer to it may be lost. Asking again
// finds the claim, by the attempt ID in its value. Releasing either deletes the claim or, by a write
// to the epoch key of the session, makes sure that it is never made.
func (b *backend) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	a, s, err := b.beginCall(ctx, req)
	if err != nil {
		return driver.Grant{}, err
	}
	defer b.endCall(a)
	if !req.Wait {
		return b.tryAcquire(ctx, a, s)
	}
	first, err := b.makeClaim(ctx, a, s, false)
	if err != nil {
		return driver.Grant{}, err
	}
	if !first {
		if req.Waiting == nil {
			req.Waiting = func() {}
		}
		req.Waiting() // a majority has answered
		if err := b.waitInQueue(ctx, a, s, req); err != nil {
			return driver.Grant{}, err
		}
	}
	return b.grant(ctx, a, s)
}

// tryAcquire reads first: a transaction that might write costs the server a write, even if it
// writes nothing.
func (b *backend) tryAcquire(ctx context.Context, a *attempt, s *session) (driver.Grant, error) {
	claims, err := read(ctx, b, s.ttl, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return b.client.Get(ctx, b.prefix(a.key), clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(1))
	})
	if err != nil {
		return driver.Grant{}, err
	}
	b.mu.Lock()
	known := a.sent // our claim may be among them
	b.mu.Unlock()
	if len(claims.Kvs) > 0 && !known {
		return driver.Grant{}, &driver.HeldError{}
	}
	first, err := b.makeClaim(ctx, a, s, true)
	switch {
	case err != nil:
		return driver.Grant{}, err
	case !first:
		return driver.Grant{}, &driver.HeldError{}
	}
	return b.grant(ctx, a, s)
}

// makeClaim makes the claim of an attempt, or finds it, and reports whether no claim is
// older. With onlyIfFree set it makes the claim only if there is no other at all.
func (b *backend) makeClaim(ctx context.Context, a *attempt, s *session, onlyIfFree bool) (first bool, err error) {
	b.mu.Lock()
	sentBefore := a.sent
	a.sent = true
	b.mu.Unlock()
	prev := b.localPredecessor(a)
	for {
		epoch := s.currentEpoch()
		answer, err := b.putClaim(ctx, a, s, epoch, onlyIfFree)
		if err != nil {
			b.mu.Lock()
			a.late = true
			b.mu.Unlock()
			if leaseGone(err) {
				s.end(errGone)
				return false, errSessionGone
			}
			return false, b.requestError(ctx, err)
		}
		if answer.Succeeded {
			b.setRevision(a, answer.Header.Revision)
			switch count := answer.Responses[0].GetResponseRange().Count; {
			case onlyIfFree || count == 0:
				return true, nil
			case count == 1 && prev != nil:
				return b.isNext(ctx, a, prev), nil
			}
			return false, nil
		}
		made, others, err := b.whyNoClaim(ctx, a, s)
		switch {
		case err != nil:
			return false, err
		case made:
			p, err := b.readPosition(ctx, a, s, answer.Header.Revision, false)
			return p.first(), err
		case onlyIfFree && others: // nothing was made
			b.mu.Lock()
			a.sent = sentBefore
			b.mu.Unlock()
			return false, nil
		}
		// The epoch key had changed, and whyNoClaim has seen how: ask again.
	}
}

// putClaim sends the transaction that makes a claim. It counts the other claims, which is cheap for
// the server. Sorting them, to find the next older one, would hold up all other writes of the server.
func (b *backend) putClaim(ctx context.Context, a *attempt, s *session, epoch int64, onlyIfFree bool) (*clientv3.TxnResponse, error) {
	ctx, cancel := b.bound(ctx, driver.RequestTimeout(s.ttl))
	defer cancel()
	prefix, name := b.prefix(a.key), b.claimNameOf(a)
	conditions := []clientv3.Cmp{
		clientv3.Compare(clientv3.CreateRevision(name), "=", 0),
		clientv3.Compare(clientv3.ModRevision(s.epochKey), "=", epoch),
	}
	if onlyIfFree { // true of all claims only if there are none
		conditions = append(conditions, clientv3.Compare(clientv3.CreateRevision(prefix), "=", 0).WithPrefix())
	}
	return b.batch.commit(ctx, &pendingTxn{
		key: a.key, conditions: conditions, timeout: driver.RequestTimeout(s.ttl),
		then: []clientv3.Op{
			clientv3.OpGet(prefix, clientv3.WithPrefix(), clientv3.WithCountOnly()),
			clientv3.OpPut(name, a.value(), clientv3.WithLease(s.id)),
		},
	})
}

// whyNoClaim finds out why nothing was made: there is our claim, made by an earlier
// request whose answer was lost; or others; or the epoch key has changed. It is a
// request of its own: whatever a transaction reads in its other branch would have to
// go through the log with it.
func (b *backend) whyNoClaim(ctx context.Context, a *attempt, s *session) (own, others bool, err error) {
	answer, err := read(ctx, b, s.ttl, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return b.client.Txn(ctx).Then(
			clientv3.OpGet(b.claimNameOf(a)),
			clientv3.OpGet(b.prefix(a.key), clientv3.WithPrefix(), clientv3.WithCountOnly()),
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
		b.setRevision(a, kv.CreateRevision)
		own = true
	}
	return own, others, nil
}
