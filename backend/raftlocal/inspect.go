package raftlocal

import (
	"context"

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
		return driver.Status{}, nil
	}
	s := o.Reply.Status
	return driver.Status{
		Held: true, Owner: s.Owner, Meta: s.Meta, Token: fencing.Token(s.Token), TTL: s.Left, Waiters: s.Waiters,
	}, nil
}

// Evict ends the grant of a key, and tells its holder.
func (b *backend) Evict(ctx context.Context, key string) error {
	return ended(b.client.Do(ctx, command.Command{Op: command.Evict, Key: b.prefix + key}, nil))
}
