package zookeeper

import (
	"context"
	"errors"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/backend/zookeeper/internal/session"
	"github.com/fencelock/fencelock/driver"
)

// adminTimeout bounds a request that is not about a lease.
const adminTimeout = 3 * time.Second

// maxLooks bounds how often a caller looks again when the first claim leaves while it is looked
// at.
const maxLooks = 10

// Inspect tells who holds a key.
func (b *backend) Inspect(ctx context.Context, key string) (driver.Status, error) {
	q, err := b.freshQueue(ctx, key)
	if err != nil {
		return driver.Status{}, session.Classify(ctx, err)
	}
	st := driver.Status{Key: key}
	sure, err := session.Ask(ctx, q.session, adminTimeout, func() (bool, error) {
		h, count, sure, err := q.holder()
		if count > 0 {
			st.Holders, st.Waiters = []driver.Holder{h}, count-1
		}
		return sure, err
	})
	switch {
	case err != nil:
		return driver.Status{}, session.Classify(ctx, err)
	case !sure:
		return driver.Status{}, session.ErrNoAnswer
	}
	return st, nil
}

// freshQueue is the queue of a key, through any session, whose server has caught up.
func (b *backend) freshQueue(ctx context.Context, key string) (q queue, err error) {
	s, err := b.pool.Some(ctx, b.info.MaxTTL)
	if err != nil {
		return q, err
	}
	return b.queueOf(s, key), s.CatchUp(ctx, adminTimeout)
}

// Evict deletes the first claim of a key, as its holder would. The holder is told by its
// watch.
//
// With an attempt's ID it deletes that attempt's claim only, and only if it is the first. The
// node's name has the ID, so the server deletes exactly this claim or, if it has left meanwhile,
// none: never that of the next holder. And a claim that was the first stays the first for as long
// as it is there, so an old list does no harm.
func (b *backend) Evict(ctx context.Context, key, attemptID string) error {
	q, err := b.freshQueue(ctx, key)
	if err != nil {
		return session.Classify(ctx, err)
	}
	for range maxLooks {
		f, err := session.Ask(ctx, q.session, adminTimeout, q.front)
		if err != nil {
			return session.Classify(ctx, err)
		}
		if f.count == 0 {
			return driver.ErrNotHeld
		}
		if f.head.text == "" {
			continue
		}
		if attemptID != "" && f.head.attemptID != attemptID {
			return driver.ErrNotHeld
		}
		err = q.session.Await(ctx, q.session.Start(func() error { return q.handOff(f.head) }), adminTimeout)
		if errors.Is(err, zk.ErrNoNode) {
			continue // it has left by itself
		}
		if err == nil {
			q.session.Start(func() error { b.nodes.tidy(q.session, q.path, f.head); return nil })
		}
		return session.Classify(ctx, err)
	}
	return session.ErrNoAnswer
}
