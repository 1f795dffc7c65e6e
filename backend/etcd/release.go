package etcd

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/driver"
)

// Release deletes a claim, and only the one that it names: by the revision that
// made it, or by the owner, who is never used again.
//
// If the answer is lost, the keeper of the session goes on trying, for as long as
// the session would keep the claim alive.
func (b *backend) Release(ctx context.Context, g driver.Grant) error {
	c := b.leaving(g)
	if c == nil {
		return b.releaseUnknown(ctx, g)
	}
	err := b.delete(ctx, c)
	if err != nil && !errors.Is(err, driver.ErrNotHeld) {
		b.mu.Lock()
		c.orphan = true
		b.mu.Unlock()
		select {
		case c.session.wake <- struct{}{}:
		default: // it is awake already
		}
	}
	return err
}

// leaving marks the claim of a grant as being released; nil if there is none, so
// that no request of this client can be under way.
func (b *backend) leaving(g driver.Grant) *claim {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.claims[g.AttemptID]
	if c == nil || c.key != g.Key {
		if c == nil && !b.made(g) {
			b.released.Add(g.AttemptID)
		}
		return nil
	}
	c.ending = true
	if c.unsure() || !c.granted {
		b.released.Add(g.AttemptID)
	}
	return c
}

// unsure reports whether a request that makes the claim may still be under way.
// Called with backend.mu held.
func (c *claim) unsure() bool { return c.late || c.calls > 0 || c.revision == 0 }

// delete deletes a claim from the server, for good. It returns nil if that ended a
// grant, and ErrNotHeld if it ended a place in the queue or nothing.
func (b *backend) delete(ctx context.Context, c *claim) error {
	var left int64
	defer func() { b.settle(c, left) }()
	b.mu.Lock()
	unsure, granted, revision, s, name := c.unsure(), c.granted, c.revision, c.session, c.name
	b.mu.Unlock()
	if s.isDead() {
		b.forget(c, errGone)
		return driver.ErrNotHeld
	}
	bounded, cancel := b.bound(ctx, driver.RequestTimeout(s.ttl))
	defer cancel()
	if unsure {
		return b.deleteUnsure(ctx, bounded, c, s, name)
	}
	answer, err := b.batch.commit(bounded, &part{
		key: c.key, timeout: driver.RequestTimeout(s.ttl),
		conditions: []clientv3.Cmp{clientv3.Compare(clientv3.CreateRevision(name), "=", revision)},
		then:       []clientv3.Op{clientv3.OpDelete(name)},
	})
	if err != nil {
		return b.requestFault(ctx, err)
	}
	if answer.Succeeded {
		left = answer.Header.Revision
	}
	b.forget(c, errGone)
	if !answer.Succeeded || !granted {
		return driver.ErrNotHeld
	}
	return nil
}

// deleteUnsure deletes a claim that may not have been made yet, and writes to the
// fence in the same transaction. If the request that makes the claim was first, it
// is deleted here; if it comes later, the fence has changed, and it makes nothing.
// The value has the owner, so that a late copy of this deletes no other claim.
func (b *backend) deleteUnsure(ctx, bounded context.Context, c *claim, s *session, name string) error {
	answer, err := b.client.Txn(bounded).
		If(clientv3.Compare(clientv3.Value(name), "=", c.value())).
		Then(append(b.deleting(c.key, name), clientv3.OpPut(s.fence, "", clientv3.WithLease(s.id)))...).
		Else(clientv3.OpPut(s.fence, "", clientv3.WithLease(s.id))).
		Commit()
	if leaseGone(err) { // and all its claims, and no request can make one
		s.end(errGone)
		b.forget(c, errGone)
		return driver.ErrNotHeld
	}
	if errors.Is(err, rpctypes.ErrNoSpace) {
		if there, fault := b.spared(ctx, bounded, name, []byte(c.value()), err); there {
			return fault
		}
	}
	if err != nil {
		return b.requestFault(ctx, err)
	}
	s.sawFence(answer.Header.Revision)
	b.forget(c, errGone)
	return wasFirst(answer, name)
}

// releaseUnknown deletes the claim of an owner of whom this client knows nothing.
func (b *backend) releaseUnknown(ctx context.Context, g driver.Grant) error {
	if b.made(g) {
		return b.unlessClosed(driver.ErrNotHeld) // it has been released, or lost
	}
	bounded, cancel := b.bound(ctx, adminTimeout)
	defer cancel()
	claims, err := b.client.Get(bounded, b.prefix(g.Key), clientv3.WithPrefix())
	if err != nil {
		return b.requestFault(ctx, err)
	}
	for _, kv := range claims.Kvs {
		if owner, _, _ := parseValue(kv.Value); owner != g.AttemptID {
			continue
		}
		name := string(kv.Key)
		answer, err := b.client.Txn(bounded).
			If(clientv3.Compare(clientv3.CreateRevision(name), "=", kv.CreateRevision)).
			Then(b.deleting(g.Key, name)...).
			Commit()
		if err != nil {
			return b.requestFault(ctx, err)
		}
		return wasFirst(answer, name)
	}
	return driver.ErrNotHeld
}

// made reports whether this backend made a grant, so that it knows all about it.
func (b *backend) made(g driver.Grant) bool {
	c, ok := g.Handle.(*claim)
	return ok && c.backend == b
}

func (b *backend) unlessClosed(err error) error {
	if b.closing.Err() != nil {
		return errClosed
	}
	return err
}

// deleting deletes a claim, and tells which was the first before.
func (b *backend) deleting(key, name string) []clientv3.Op {
	return []clientv3.Op{
		clientv3.OpGet(b.prefix(key), append(clientv3.WithFirstCreate(), clientv3.WithKeysOnly())...),
		clientv3.OpDelete(name),
	}
}

// wasFirst returns nil if the claim that was deleted was the first, and so held
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

// sweep deletes the claims of a session whose time is over: grants that were not
// renewed, places that nobody waits in any more, and what could not be released.
// The lease does not end them, since it lives on.
func (s *session) sweep() {
	b := s.backend
	now := time.Now()
	var over []*claim
	b.mu.Lock()
	for _, c := range b.claims {
		// One that is being released, and where that has not failed, is not ours.
		if c.session == s && c.calls == 0 && (c.orphan || !c.ending && !now.Before(c.until)) {
			c.ending, c.orphan = true, true // a call that comes from here on is refused
			over = append(over, c)
		}
	}
	b.mu.Unlock()
	for _, c := range over {
		err := b.delete(b.closing, c)
		switch {
		case err == nil || errors.Is(err, driver.ErrNotHeld):
		case errors.Is(err, driver.ErrUnavailable) || b.closing.Err() != nil:
			return // the server is out of reach: at the next tick
		default:
			// It has refused, and will again. The key ends with the lease, and so the lease
			// must end.
			s.retire()
			b.forget(c, err)
		}
	}
}
