package zookeeper

import (
	"context"
	"errors"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// adminTimeout bounds a request that is not about a lease. adminTTL is the TTL whose session
// serves it if no session is open.
const (
	adminTimeout = 3 * time.Second
	adminTTL     = 10 * time.Second
)

// maxLooks bounds how often a caller looks again when the first claim leaves while it is looked
// at.
const maxLooks = 10

// Inspect tells who holds a key.
func (b *backend) Inspect(ctx context.Context, key string) (driver.Status, error) {
	s, err := b.adminSession(ctx)
	if err != nil {
		return driver.Status{}, classify(ctx, err)
	}
	if err := b.catchUp(ctx, s, adminTimeout); err != nil {
		return driver.Status{}, classify(ctx, err)
	}
	parent := b.parentOf(key)
	for range maxLooks {
		f, err := b.front(ctx, s, parent)
		if err != nil {
			return driver.Status{}, classify(ctx, err)
		}
		if f.count == 0 {
			return driver.Status{Key: key}, nil
		}
		if f.head.text == "" {
			continue
		}
		h, err := ask(ctx, s, adminTimeout, func() (driver.Holder, error) { return describe(s.conn, parent, f.head) })
		if errors.Is(err, zk.ErrNoNode) {
			continue
		}
		if err != nil {
			return driver.Status{}, classify(ctx, err)
		}
		return driver.Status{Key: key, Holders: []driver.Holder{h}, Waiters: f.count - 1}, nil
	}
	return driver.Status{}, errNoAnswer
}

// describe reads the node of a holder. Only the holder knows what is left of its lease; Left is
// its TTL, the most that it can be.
func describe(c conn, parent string, head nodeName) (driver.Holder, error) {
	data, stat, err := c.Get(parent + "/" + head.text)
	if err != nil {
		return driver.Holder{}, err
	}
	h := driver.Holder{AttemptID: head.attemptID, Token: fencing.Token(stat.Czxid)}
	h.Left, h.Identity, h.Meta = parseRecord(data)
	return h, nil
}

// Evict deletes the first claim of a key, as its holder would. The holder is told by its
// watch.
//
// With an attempt's ID it deletes that attempt's claim only, and only if it is the first. The
// node's name has the ID, so the server deletes exactly this claim or, if it has left meanwhile,
// none: never that of the next holder. And a claim that was the first stays the first for as long
// as it is there, so an old list does no harm.
func (b *backend) Evict(ctx context.Context, key, attemptID string) error {
	s, err := b.adminSession(ctx)
	if err != nil {
		return classify(ctx, err)
	}
	if err := b.catchUp(ctx, s, adminTimeout); err != nil {
		return classify(ctx, err)
	}
	parent := b.parentOf(key)
	for range maxLooks {
		f, err := b.front(ctx, s, parent)
		if err != nil {
			return classify(ctx, err)
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
		err = s.await(ctx, b.start(func() error { return s.handOff(parent, f.head) }), adminTimeout)
		if errors.Is(err, zk.ErrNoNode) {
			continue // it has left by itself
		}
		if err == nil {
			b.start(func() error { b.tidyParent(s, parent, f.head); return nil })
		}
		return classify(ctx, err)
	}
	return errNoAnswer
}

// catchUp has this client's server catch up with the leader, so that a look shows what others
// have been told was done.
func (b *backend) catchUp(ctx context.Context, s *session, timeout time.Duration) error {
	_, err := ask(ctx, s, timeout, func() (string, error) { return s.conn.Sync(b.root) })
	return err
}
