package etcd

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// Release deletes a claim, and only the one that it names: by the revision that
// made it, or by the attempt ID, which is never used again.
//
// If the answer is lost, the session goes on trying, see sweep, for as long as
// it would keep the claim alive.
func (b *backend) Release(ctx context.Context, g driver.Grant) error {
	b.mu.Lock()
	a, late := b.ledger.Release(g)
	gone := a != nil && a.Phase() == attempts.Gone
	b.mu.Unlock()
	switch {
	case a == nil:
		return b.releaseUnknown(ctx, g)
	case gone && !late:
		return b.unlessClosed(driver.ErrNotHeld) // it has been released, or lost
	}
	err := b.delete(ctx, a, late)
	if err != nil && !errors.Is(err, driver.ErrNotHeld) {
		b.mu.Lock()
		a.abandoned = true
		b.mu.Unlock()
		select {
		case a.session.wake <- struct{}{}:
		default: // it is awake already
		}
	}
	return err
}

// delete deletes the claim of an attempt that is ending from the server, for good. It returns nil if that ended a
// grant, and ErrNotHeld if it ended a position in the queue or nothing, or a grant that was overdue.
// late says that a request which makes the claim may still be under way.
func (b *backend) delete(ctx context.Context, a *attempt, late bool) error {
	var deletedAt int64
	defer func() { b.recordDeletion(a, deletedAt) }()
	b.mu.Lock()
	inDoubt, revision, s := late || a.Late || a.revision == 0, a.revision, a.session
	b.mu.Unlock()
	if s.isDead() {
		b.forget(a, errGone)
		return driver.ErrNotHeld
	}
	bounded, cancel := b.bound(ctx, driver.RequestTimeout(s.ttl))
	defer cancel()
	if inDoubt {
		return b.deleteInDoubt(ctx, bounded, a)
	}
	answer, err := b.batch.commit(bounded, &pendingTxn{
		key: a.Key, timeout: driver.RequestTimeout(s.ttl),
		conditions: []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(a.name), "=", revision)},
		then:       []clientv3.Op{clientv3.OpDelete(a.name)},
	})
	if err != nil {
		return b.requestError(ctx, err)
	}
	if answer.Succeeded {
		deletedAt = answer.Header.Revision
	}
	return b.deleted(a, answer.Succeeded)
}

// deleted notes that the claim is not on the server any more, and returns the outcome for Release. there says
// whether it was until now.
func (b *backend) deleted(a *attempt, there bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgetLocked(a) // nobody is told: this client has ended it
	if !there || !a.ReleaseEndsGrant() {
		return driver.ErrNotHeld
	}
	return nil
}

// deleteInDoubt deletes a claim that may not have been made yet, and writes to the
// epoch key in the same transaction. If the request that makes the claim came first, the claim
// is deleted here; if that request comes later, the epoch key has changed, and it makes nothing.
// The value has the attempt ID, so a late copy of this transaction deletes no other claim.
func (b *backend) deleteInDoubt(ctx, bounded context.Context, a *attempt) error {
	s := a.session
	write := clientv3.OpPut(s.epochKey, "", clientv3.WithLease(s.id))
	answer, err := b.client.Txn(bounded).
		If(clientv3.Compare(clientv3.Value(a.name), "=", a.value())).
		Then(clientv3.OpDelete(a.name), write).
		Else(write).
		Commit()
	if leaseGone(err) { // and all its claims, and no request can make one
		s.end(errGone)
		return driver.ErrNotHeld
	}
	if errors.Is(err, rpctypes.ErrNoSpace) {
		if there, fault := b.claimRemains(ctx, bounded, a.name, []byte(a.value()), err); there {
			return fault
		}
	}
	if err != nil {
		return b.requestError(ctx, err)
	}
	s.sawEpoch(answer.Header.Revision)
	return b.deleted(a, answer.Succeeded)
}

// releaseUnknown deletes the claim of an attempt of which this client knows nothing.
func (b *backend) releaseUnknown(ctx context.Context, g driver.Grant) error {
	bounded, cancel := b.bound(ctx, adminTimeout)
	defer cancel()
	claims, err := b.client.Get(bounded, b.prefix(g.Key), clientv3.WithPrefix())
	if err != nil {
		return b.requestError(ctx, err)
	}
	for _, kv := range claims.Kvs {
		if attemptID, _, _ := parseValue(kv.Value); attemptID != g.AttemptID {
			continue
		}
		name := string(kv.Key)
		answer, err := b.client.Txn(bounded).
			If(clientv3.Compare(clientv3.CreateRevision(name), "=", kv.CreateRevision)).
			Then(clientv3.OpGet(b.prefix(g.Key), append(clientv3.WithFirstCreate(), clientv3.WithKeysOnly())...), clientv3.OpDelete(name)).
			Commit()
		if err != nil {
			return b.requestError(ctx, err)
		}
		return wasFirst(answer, name)
	}
	return driver.ErrNotHeld
}

func (b *backend) unlessClosed(err error) error {
	if b.closing.Err() != nil {
		return errClosed
	}
	return err
}

// wasFirst returns nil if the deleted claim was the first, and so held
// the lock.
func wasFirst(answer *clientv3.TxnResponse, name string) error {
	if !answer.Succeeded {
		return driver.ErrNotHeld
	}
	first := answer.Responses[0].GetResponseRange().Kvs
	if len(first) == 0 || string(first[0].Key) != name {
		return driver.ErrNotHeld
	}
	return nil
}

// sweep deletes the overdue claims of a session: grants that were not
// renewed, positions in queues where nobody waits any more, and what could not be released.
// The lease does not end them, since it lives on.
func (s *session) sweep() {
	b := s.backend
	now := time.Now()
	var overdue []*attempt
	b.mu.Lock()
	for a := range b.ledger.All() {
		// An attempt that is being released, without a failure yet, is left to Release.
		if a.session == s && (a.Overdue(now) || a.abandoned && a.Calls() == 0) {
			b.ledger.End(a) // a call that comes from here on is refused
			a.abandoned = true
			overdue = append(overdue, a)
		}
	}
	b.mu.Unlock()
	for _, a := range overdue {
		err := b.delete(b.closing, a, false)
		switch {
		case err == nil || errors.Is(err, driver.ErrNotHeld):
		case errors.Is(err, driver.ErrUnavailable) || b.closing.Err() != nil:
			return // the server is out of reach: try again at the next tick
		default:
			// The server has refused, and will again. The claim ends with the lease only, so the
			// lease must end.
			s.retire()
			b.forget(a, err)
		}
	}
}
