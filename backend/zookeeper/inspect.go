package zookeeper

import (
	"context"
	"errors"
	"time"

	"github.com/go-zookeeper/zk"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// adminTimeout bounds a request that is not about a lease, and adminTTL is the class
// of the session that serves it if no other is open.
const (
	adminTimeout = 3 * time.Second
	adminTTL     = 10 * time.Second
)

// looks bounds how often Inspect and Evict look again when the first claim goes away
// under their eyes.
const looks = 10

// Inspect tells who holds a key.
func (b *backend) Inspect(ctx context.Context, key string) (driver.Status, error) {
	s, err := b.adminSession(ctx)
	if err != nil {
		return driver.Status{}, fault(ctx, err)
	}
	if err := b.catchUp(ctx, s, adminTimeout); err != nil {
		return driver.Status{}, fault(ctx, err)
	}
	parent := b.parentOf(key)
	for range looks {
		f, err := b.front(ctx, s, parent)
		if err != nil {
			return driver.Status{}, fault(ctx, err)
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
			return driver.Status{}, fault(ctx, err)
		}
		return driver.Status{Key: key, Holders: []driver.Holder{h}, Waiters: f.count - 1}, nil
	}
	return driver.Status{}, errNoAnswer
}

// describe reads the node of a holder. What is left of its lease only the holder
// knows; its TTL is the most that it can be.
func describe(c conn, parent string, head nodeName) (driver.Holder, error) {
	data, stat, err := c.Get(parent + "/" + head.text)
	if err != nil {
		return driver.Holder{}, err
	}
	h := driver.Holder{AttemptID: head.owner, Token: fencing.Token(stat.Czxid)}
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
		return fault(ctx, err)
	}
	if err := b.catchUp(ctx, s, adminTimeout); err != nil {
		return fault(ctx, err)
	}
	parent := b.parentOf(key)
	for range looks {
		f, err := b.front(ctx, s, parent)
		if err != nil {
			return fault(ctx, err)
		}
		if f.count == 0 {
			return driver.ErrNotHeld
		}
		if f.head.text == "" {
			continue
		}
		if attemptID != "" && f.head.owner != attemptID {
			return driver.ErrNotHeld
		}
		err = s.await(ctx, b.start(func() error { return s.handOn(parent, f.head) }), adminTimeout)
		if errors.Is(err, zk.ErrNoNode) {
			continue // it has left by itself
		}
		if err == nil {
			b.start(func() error { b.tidy(s, parent, f.head); return nil })
		}
		return fault(ctx, err)
	}
	return errNoAnswer
}

// catchUp has this client's server catch up with the leader, so that a look shows what
// others have been told was done.
func (b *backend) catchUp(ctx context.Context, s *session, timeout time.Duration) error {
	_, err := ask(ctx, s, timeout, func() (string, error) { return s.conn.Sync(b.root) })
	return err
}

// adminSession returns a session that is open, or opens one.
func (b *backend) adminSession(ctx context.Context) (*session, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return b.sessionFor(ctx, b.anyClass())
}

func (b *backend) anyClass() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	best := time.Duration(0)
	for class, s := range b.sessions {
		select {
		case <-s.ready:
			// The shortest notices first that its server is gone.
			if best == 0 || class < best {
				best = class
			}
		default:
		}
	}
	if best == 0 {
		best = min(adminTTL, b.info.MaxTTL)
	}
	return best
}
