package etcd

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/fencelock/fencelock/driver"
)

// Acquire makes a claim, a key below the name of the lock, and holds the lock if
// there is no older claim. To wait is to watch the next older one: see await.
//
// The claim is made by one transaction, whose answer may be lost. Asking again
// finds it, by the owner in its value; releasing it either deletes it or, by a write
// to the fence of the session, sees to it that it is never made.
func (b *backend) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	c, s, err := b.enter(ctx, req)
	if err != nil {
		return driver.Grant{}, err
	}
	defer b.leave(c)
	if !req.Wait {
		return b.try(ctx, c, s)
	}
	first, err := b.claim(ctx, c, s, false)
	if err != nil {
		return driver.Grant{}, err
	}
	if !first {
		if req.Waiting == nil {
			req.Waiting = func() {}
		}
		req.Waiting() // a majority has answered
		if err := b.await(ctx, c, s, req); err != nil {
			return driver.Grant{}, err
		}
	}
	return b.grant(ctx, c, s)
}

// try looks first, since a transaction that might write costs a write even if it
// does not.
func (b *backend) try(ctx context.Context, c *claim, s *session) (driver.Grant, error) {
	claims, err := read(ctx, b, s.ttl, func(ctx context.Context) (*clientv3.GetResponse, error) {
		return b.client.Get(ctx, b.prefix(c.key), clientv3.WithPrefix(), clientv3.WithKeysOnly(), clientv3.WithLimit(1))
	})
	if err != nil {
		return driver.Grant{}, err
	}
	b.mu.Lock()
	known := c.asked // ours may be among them
	b.mu.Unlock()
	if len(claims.Kvs) > 0 && !known {
		return driver.Grant{}, &driver.HeldError{}
	}
	first, err := b.claim(ctx, c, s, true)
	switch {
	case err != nil:
		return driver.Grant{}, err
	case !first:
		return driver.Grant{}, &driver.HeldError{}
	}
	return b.grant(ctx, c, s)
}

// claim makes the key of a claim, or finds it, and reports whether no claim is
// older. With alone set it makes it only if there is no other at all.
func (b *backend) claim(ctx context.Context, c *claim, s *session, alone bool) (first bool, err error) {
	b.mu.Lock()
	before := c.asked
	c.asked = true
	b.mu.Unlock()
	own := b.before(c)
	for {
		epoch := s.currentEpoch()
		answer, err := b.askToClaim(ctx, c, s, epoch, alone)
		if err != nil {
			b.mu.Lock()
			c.late = true
			b.mu.Unlock()
			if leaseGone(err) {
				s.end(errGone)
				return false, errSessionGone
			}
			return false, b.requestFault(ctx, err)
		}
		if answer.Succeeded {
			b.found(c, answer.Header.Revision)
			switch count := answer.Responses[0].GetResponseRange().Count; {
			case alone || count == 0:
				return true, nil
			case count == 1 && own != nil:
				return b.follows(ctx, c, own), nil
			}
			return false, nil
		}
		made, others, err := b.askWhy(ctx, c, s)
		switch {
		case err != nil:
			return false, err
		case made:
			place, err := b.look(ctx, c, s, answer.Header.Revision, false)
			return place.first(), err
		case alone && others: // nothing was made
			b.mu.Lock()
			c.asked = before
			b.mu.Unlock()
			return false, nil
		}
		// The fence had changed, and askWhy has seen how: again.
	}
}

// askToClaim is the transaction. Counting the claims is cheap for the server, while
// sorting them to find the next older one would hold up all its other writes.
func (b *backend) askToClaim(ctx context.Context, c *claim, s *session, epoch int64, alone bool) (*clientv3.TxnResponse, error) {
	ctx, cancel := b.bound(ctx, driver.RequestTimeout(s.ttl))
	defer cancel()
	prefix, name := b.prefix(c.key), b.nameOf(c)
	conditions := []clientv3.Cmp{
		clientv3.Compare(clientv3.CreateRevision(name), "=", 0),
		clientv3.Compare(clientv3.ModRevision(s.fence), "=", epoch),
	}
	if alone { // true of all claims only if there are none
		conditions = append(conditions, clientv3.Compare(clientv3.CreateRevision(prefix), "=", 0).WithPrefix())
	}
	return b.batch.commit(ctx, &part{
		key: c.key, conditions: conditions, timeout: driver.RequestTimeout(s.ttl),
		then: []clientv3.Op{
			clientv3.OpGet(prefix, clientv3.WithPrefix(), clientv3.WithCountOnly()),
			clientv3.OpPut(name, c.value(), clientv3.WithLease(s.id)),
		},
	})
}

// askWhy finds out why nothing was made: there is our claim, made by an earlier
// request whose answer was lost; or others; or the fence has changed. It is a
// request of its own, since whatever a transaction says in its other branch has to
// go through the log with it.
func (b *backend) askWhy(ctx context.Context, c *claim, s *session) (own, others bool, err error) {
	answer, err := read(ctx, b, s.ttl, func(ctx context.Context) (*clientv3.TxnResponse, error) {
		return b.client.Txn(ctx).Then(
			clientv3.OpGet(b.nameOf(c)),
			clientv3.OpGet(b.prefix(c.key), clientv3.WithPrefix(), clientv3.WithCountOnly()),
			clientv3.OpGet(s.fence, clientv3.WithKeysOnly()),
		).Commit()
	})
	if err != nil {
		return false, false, err
	}
	fence := answer.Responses[2].GetResponseRange().Kvs
	if len(fence) == 0 {
		s.end(errGone)
		return false, false, errSessionGone
	}
	s.sawFence(fence[0].ModRevision)
	others = answer.Responses[1].GetResponseRange().Count > 0
	for _, kv := range answer.Responses[0].GetResponseRange().Kvs {
		if string(kv.Value) != c.value() {
			return false, others, fmt.Errorf("etcd: %s has the value of another claim: do programs other than this write to it?", kv.Key)
		}
		b.found(c, kv.CreateRevision)
		own = true
	}
	return own, others, nil
}

func (b *backend) found(c *claim, revision int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.revision = revision
}

func (b *backend) nameOf(c *claim) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return c.name
}

// requestFault sorts an error of a request that was bounded in time: ctx is the
// caller's, without the bound.
func (b *backend) requestFault(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return b.endedBefore(ctx)
	}
	return b.detachedFault(err)
}
