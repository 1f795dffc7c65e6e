package etcd

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/backend/etcd/internal/cluster"
	"github.com/fencelock/fencelock/backend/etcd/internal/session"
	"github.com/fencelock/fencelock/driver"
)

// Release deletes a claim, and only the one that it names: by the revision that
// made it, or by the attempt ID, which is never used again.
//
// If the answer is lost, the session goes on trying, see sweep, for as long as it would keep the claim alive.
func (b *backend) Release(ctx context.Context, g driver.Grant) error {
	a, late, gone := b.registry.release(g)
	switch {
	case a == nil:
		return b.releaseUnknown(ctx, g)
	case gone && !late && b.conn.Closed():
		return cluster.ErrClosed
	case gone && !late:
		return driver.ErrNotHeld // it has been released, or lost
	}
	err := b.delete(ctx, a, late)
	if err != nil && !errors.Is(err, driver.ErrNotHeld) {
		b.registry.abandon(a)
	}
	return err
}

// delete deletes the claim of an attempt that is ending from the server, for good. It returns nil if that
// ended a grant, and ErrNotHeld if it ended a position in the queue or nothing, or a grant that was overdue.
// late says that a request which makes the claim may still be under way.
func (b *backend) delete(ctx context.Context, a *attempt, late bool) error {
	var deletedAt int64
	defer func() { b.registry.recordDeletion(a, deletedAt) }()
	s := a.session
	if s.IsDead() {
		b.registry.forget(a, session.ErrForgotten)
		return driver.ErrNotHeld
	}
	timeout := driver.RequestTimeout(s.TTL)
	bounded := b.conn.Bound(ctx, timeout)
	defer bounded.End()
	revision, _, unanswered := b.registry.look(a)
	if late || unanswered || revision == 0 {
		return b.deleteInDoubt(ctx, bounded, a)
	}
	answer, err := b.conn.Commit(bounded, a.Key, cluster.Txn{Request: newDeletion(a.name, revision), Timeout: timeout})
	if err != nil {
		return b.conn.RequestError(ctx, err)
	}
	if answer.Succeeded {
		deletedAt = answer.Header.Revision
	}
	return b.registry.deleted(a, answer.Succeeded)
}

// deleteInDoubt deletes a claim that may not have been made yet, and writes to the
// epoch key in the same transaction. If the request that makes the claim came first, the claim
// is deleted here; if that request comes later, the epoch key has changed, and it makes nothing.
// The value has the attempt ID, so a late copy of this transaction deletes no other claim.
func (b *backend) deleteInDoubt(ctx, bounded context.Context, a *attempt) error {
	s := a.session
	write := clientv3.OpPut(s.EpochKey, "", clientv3.WithLease(s.ID))
	answer, err := b.conn.Client.Txn(bounded).
		If(clientv3.Compare(clientv3.Value(a.name), "=", a.value())).
		Then(clientv3.OpDelete(a.name), write).
		Else(write).
		Commit()
	if cluster.LeaseGone(err) { // and all its claims, and no request can make one
		s.End(session.ErrForgotten)
		return driver.ErrNotHeld
	}
	if errors.Is(err, rpctypes.ErrNoSpace) {
		if there, fault := claimRemains(ctx, bounded, b.conn, a.name, []byte(a.value()), err); there {
			return fault
		}
	}
	if err != nil {
		return b.conn.RequestError(ctx, err)
	}
	s.SawEpoch(answer.Header.Revision)
	return b.registry.deleted(a, answer.Succeeded)
}

// releaseUnknown deletes the claim of an attempt of which this client knows nothing.
func (b *backend) releaseUnknown(ctx context.Context, g driver.Grant) error {
	bounded := b.conn.Bound(ctx, adminTimeout)
	defer bounded.End()
	claims, err := b.conn.Client.Get(bounded, b.ns.prefix(g.Key), clientv3.WithPrefix())
	if err != nil {
		return b.conn.RequestError(ctx, err)
	}
	for _, kv := range claims.Kvs {
		if attemptID, _, _ := parseValue(kv.Value); attemptID != g.AttemptID {
			continue
		}
		name := string(kv.Key)
		answer, err := b.conn.Client.Txn(bounded).
			If(clientv3.Compare(clientv3.CreateRevision(name), "=", kv.CreateRevision)).
			Then(clientv3.OpGet(b.ns.prefix(g.Key), append(clientv3.WithFirstCreate(), clientv3.WithKeysOnly())...), clientv3.OpDelete(name)).
			Commit()
		if err != nil {
			return b.conn.RequestError(ctx, err)
		}
		if answer.Succeeded {
			if first := answer.Responses[0].GetResponseRange().Kvs; len(first) > 0 && string(first[0].Key) == name {
				return nil // it held the lock
			}
		}
		return driver.ErrNotHeld
	}
	return driver.ErrNotHeld
}

// sweep deletes the overdue claims of a session. The lease does not end them, since it lives on.
func (b *backend) sweep(s *session.Session) {
	for _, a := range b.registry.overdue(s, time.Now()) {
		err := b.delete(b.conn.Closing(), a, false)
		switch {
		case err == nil || errors.Is(err, driver.ErrNotHeld):
		case errors.Is(err, driver.ErrUnavailable) || b.conn.Closed():
			return // the server is out of reach: try again at the next tick
		default:
			// The server has refused, and will again. The claim ends with the lease only, so the lease must
			// end.
			s.Retire()
			b.registry.forget(a, err)
		}
	}
}
