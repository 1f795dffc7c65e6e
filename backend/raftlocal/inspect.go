package raftlocal

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// Inspect tells who holds a key, as of a moment between the call and its return.
func (b *backend) Inspect(ctx context.Context, key string) (driver.Status, error) {
	o := b.client.Do(ctx, command.Command{Op: command.Inspect, Key: b.prefix + key}, nil)
	switch {
	case o.Err != nil:
		return driver.Status{}, o.Err
	case o.Reply.Code != command.OK:
		return driver.Status{}, refused(o.Reply.Code)
	case !o.Reply.Status.Held:
		return driver.Status{Key: key}, nil
	}
	s := o.Reply.Status
	h := driver.Holder{AttemptID: s.AttemptID, Token: fencing.Token(s.Token), Left: s.Left}
	h.Identity, h.Meta = driver.SplitIdentity(s.Meta)
	return driver.Status{Key: key, Holders: []driver.Holder{h}, Waiters: s.Waiters}, nil
}

// ListHeld tells which locks are held below a prefix, a page at a time, each as of a moment between the call and its
// return. The leader looks at a few thousand claims for a page, in the order in which they came: that delays no
// lock, and costs no entry of the log. The cursor is the number of the last claim that was looked at, and is good at
// any leader.
func (b *backend) ListHeld(ctx context.Context, prefix, cursor string, limit int) (driver.Page, error) {
	var after uint64
	if cursor != "" {
		var err error
		if after, err = strconv.ParseUint(cursor, 10, 64); err != nil || after == 0 || after == math.MaxUint64 {
			return driver.Page{}, fmt.Errorf("%w: raft: the cursor %q is of no page", driver.ErrInvalid, cursor)
		}
	}
	if limit < 1 {
		return driver.Page{}, fmt.Errorf("%w: raft: a page has one lock or more, and not %d", driver.ErrInvalid, limit)
	}
	if len(prefix) > driver.MaxKeyLen {
		return driver.Page{}, nil // no key begins so
	}
	o := b.client.Do(ctx, command.Command{Op: command.ListHeld, Key: b.prefix + prefix, Claims: []uint64{after, uint64(limit)}}, nil)
	switch {
	case o.Err != nil:
		return driver.Page{}, o.Err
	case o.Reply.Code == command.Invalid:
		return driver.Page{}, tooOld("to list locks", o)
	case o.Reply.Code != command.OK:
		return driver.Page{}, refused(o.Reply.Code)
	}
	p := driver.Page{Locks: make([]driver.Status, 0, len(o.Reply.Locks))}
	for i := range o.Reply.Locks {
		l := &o.Reply.Locks[i]
		h := driver.Holder{AttemptID: l.AttemptID, Token: fencing.Token(l.Token), Left: l.Left}
		h.Identity, h.Meta = driver.SplitIdentity(l.Meta)
		p.Locks = append(p.Locks, driver.Status{Key: strings.TrimPrefix(l.Key, b.prefix), Holders: []driver.Holder{h}, Waiters: -1})
	}
	if o.Reply.Number != 0 {
		p.Next = strconv.FormatUint(o.Reply.Number, 10)
	}
	return p, nil
}

// Evict ends the grant that an attempt has of a key, or whatever grant the key has, and tells its holder.
func (b *backend) Evict(ctx context.Context, key, attemptID string) error {
	if attemptID == "" {
		return ended(b.client.Do(ctx, command.Command{Op: command.Evict, Key: b.prefix + key}, nil))
	}
	if len(attemptID) > command.MaxAttemptID {
		return driver.ErrNotHeld // no attempt has such a name
	}
	o := b.client.Do(ctx, command.Command{Op: command.EvictClaim, Key: b.prefix + key, AttemptID: attemptID}, nil)
	if o.Err == nil && o.Reply.Code == command.Invalid {
		return tooOld("to evict one attempt", o)
	}
	return ended(o)
}
