package raftlocal

import (
	"context"
	"fmt"

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
	h := driver.Holder{AttemptID: s.Owner, Token: fencing.Token(s.Token), Left: s.Left}
	h.Identity, h.Meta = driver.SplitIdentity(s.Meta)
	return driver.Status{Key: key, Holders: []driver.Holder{h}, Waiters: s.Waiters}, nil
}

// Evict ends the grant of a key, and tells its holder.
func (b *backend) Evict(ctx context.Context, key, attemptID string) error {
	if attemptID != "" {
		return fmt.Errorf("%w: to evict one attempt", driver.ErrUnsupported)
	}
	return ended(b.client.Do(ctx, command.Command{Op: command.Evict, Key: b.prefix + key}, nil))
}

// ListHeld is not there yet.
func (b *backend) ListHeld(context.Context, string, string, int) (driver.Page, error) {
	return driver.Page{}, fmt.Errorf("%w: to list", driver.ErrUnsupported)
}
