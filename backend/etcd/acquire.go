package etcd

import (
	"context"
	"fmt"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/backend/etcd/internal/cluster"
	"github.com/fencelock/fencelock/backend/etcd/internal/session"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// Acquire makes a claim, a key below the name of the lock, and holds the lock if
// there is no older claim. Otherwise it waits: it watches the next older one, see queue.wait.
//
// One transaction makes the claim. The answer to it may be lost. Asking again
// finds the claim, by the attempt ID in its value. Releasing either deletes the claim or, by a write
// to the epoch key of the session, makes sure that it is never made.
func (b *backend) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	s, err := b.sessions.Get(ctx, attempts.SessionTTL(req.TTL))
	if err != nil {
		return driver.Grant{}, err
	}
	a, err := b.registry.enter(req, s)
	if err != nil {
		return driver.Grant{}, err
	}
	defer b.registry.leave(a)
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
		if err := b.queue.wait(ctx, a, req); err != nil {
			return driver.Grant{}, err
		}
	}
	return b.grant(ctx, a)
}

// tryAcquire reads first: a transaction that might write costs the server a write, even if it
// writes nothing.
func (b *backend) tryAcquire(ctx context.Context, a *attempt) (driver.Grant, error) {
	claims, err := cluster.Read(ctx, b.conn, a.session.TTL, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return b.conn.Client.Get(ctx, b.ns.prefix(a.Key), clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(1))
	})
	if err != nil {
		return driver.Grant{}, err
	}
	if _, sent, _ := b.registry.look(a); len(claims.Kvs) > 0 && !sent { // else our claim may be among them
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

// grant makes the Grant of an attempt that has the first claim of its lock. The time of the grant runs
// from the last sign of life of the session: the server cannot end the lease before
// a TTL from there.
func (b *backend) grant(ctx context.Context, a *attempt) (driver.Grant, error) {
	start, err := a.session.AliveSince(ctx, a.session.TTL/2)
	if err != nil {
		return driver.Grant{}, err
	}
	return b.registry.grant(a, start)
}

// makeClaim makes the claim of an attempt, or finds it, and reports whether no claim is
// older. With onlyIfFree set it makes the claim only if there is no other at all. For an attempt that is held
// it makes none: its claim is there, or the grant is lost.
//
// Make against Release: the epoch is read before the attempt is looked at. If Release was first, nothing is sent.
// If Release comes after that look, so does its write to the epoch key, and the epoch
// that was read is an older one, with which nothing is made any more.
func (b *backend) makeClaim(ctx context.Context, a *attempt, onlyIfFree bool) (first bool, err error) {
	prev := b.queue.localPredecessor(a)
	for {
		epoch := a.session.Epoch()
		held, err := b.registry.sending(a)
		switch {
		case err != nil:
			return false, err
		case held:
			p, err := b.queue.readPosition(ctx, a, 0, true)
			return p.first(), err
		}
		answer, err := b.putClaim(ctx, a, epoch, onlyIfFree)
		if err != nil {
			b.registry.failed(a, false)
			if cluster.LeaseGone(err) {
				a.session.End(session.ErrForgotten)
				return false, session.ErrGone
			}
			return false, b.conn.RequestError(ctx, err)
		}
		if answer.Succeeded {
			b.registry.sawClaim(a, answer.Header.Revision)
			switch count := answer.Responses[0].GetResponseRange().Count; {
			case onlyIfFree || count == 0:
				return true, nil
			case count == 1 && prev != nil:
				return b.queue.isNext(ctx, a, prev), nil
			}
			return false, nil
		}
		made, others, err := b.whyNoClaim(ctx, a)
		switch {
		case err != nil:
			return false, err
		case made:
			p, err := b.queue.readPosition(ctx, a, answer.Header.Revision, false)
			return p.first(), err
		case onlyIfFree && others: // nothing was made, unless by another request
			b.registry.failed(a, true)
			return false, nil
		}
		// The epoch key had changed, and whyNoClaim has seen how: ask again.
	}
}

// putClaim sends the transaction that makes a claim.
func (b *backend) putClaim(ctx context.Context, a *attempt, epoch int64, onlyIfFree bool) (*pb.TxnResponse, error) {
	timeout := driver.RequestTimeout(a.session.TTL)
	bounded := b.conn.Bound(ctx, timeout)
	defer bounded.End()
	return b.conn.Commit(bounded, a.Key, cluster.Txn{Request: newClaim(a, epoch, onlyIfFree), Timeout: timeout})
}

// whyNoClaim finds out why nothing was made: there is our claim, made by an earlier
// request whose answer was lost; or others; or the epoch key has changed. It is a
// request of its own: whatever a transaction reads in its other branch would have to
// go through the log with it.
func (b *backend) whyNoClaim(ctx context.Context, a *attempt) (own, others bool, err error) {
	s := a.session
	answer, err := cluster.Read(ctx, b.conn, s.TTL, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return b.conn.Client.Txn(ctx).Then(
			clientv3.OpGet(a.name),
			clientv3.OpGet(b.ns.prefix(a.Key), clientv3.WithPrefix(), clientv3.WithCountOnly()),
			clientv3.OpGet(s.EpochKey, clientv3.WithKeysOnly()),
		).Commit()
	})
	if err != nil {
		return false, false, err
	}
	epochKey := answer.Responses[2].GetResponseRange().Kvs
	if len(epochKey) == 0 {
		s.End(session.ErrForgotten)
		return false, false, session.ErrGone
	}
	s.SawEpoch(epochKey[0].ModRevision)
	others = answer.Responses[1].GetResponseRange().Count > 0
	for _, kv := range answer.Responses[0].GetResponseRange().Kvs {
		if string(kv.Value) != a.value() {
			return false, others, fmt.Errorf("etcd: %s has the value of another claim: do programs other than this write to it?", kv.Key)
		}
		b.registry.sawClaim(a, kv.CreateRevision)
		own = true
	}
	return own, others, nil
}
