package raftlocal

import (
	"context"
	"errors"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/driver"
)

// Release ends a claim: by its number if all is known about it, by its attempt id otherwise. The
// command is behind those of Acquire, in the cluster as well, so that it ends what they
// have made, and they make nothing after it.
func (b *backend) Release(ctx context.Context, g driver.Grant) error {
	c, call, err := b.letGo(g)
	if err != nil {
		return err
	}
	o := b.client.Wait(ctx, call)
	if c == nil {
		return ended(o)
	}
	return b.settle(c, o)
}

// letGo starts the command that ends a claim. The claim is nil if this client has none.
func (b *backend) letGo(g driver.Grant) (*attempt, *client.Call, error) {
	id := attemptKey{g.Key, g.AttemptID}
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.find(g)
	switch {
	case b.closed:
		return nil, nil, errClosed
	case c == nil:
		b.released.Add(id)
		call, err := b.client.Start(command.Command{Op: command.Release, Key: b.prefix + g.Key, AttemptID: g.AttemptID}, nil)
		return nil, call, err
	case c.phase == gone, c.phase == held && g.Token != 0 && uint64(g.Token) != c.token:
		return nil, nil, driver.ErrNotHeld
	}
	cmd := command.Command{Op: command.Release, Claims: c.number[:]}
	if c.phase != held || c.late || c.calls > 0 {
		b.released.Add(id)
		cmd = command.Command{Op: command.Release, Key: b.prefix + g.Key, AttemptID: g.AttemptID}
	}
	call, err := b.client.Start(cmd, nil)
	if err == nil {
		c.ending = true
		c.until = time.Now().Add(2 * c.ttl)
	}
	return c, call, err
}

// settle records the outcome of a release.
//
// When an attempt has no outcome, and a later one finds nothing, two things may have happened:
// the earlier attempt was carried out, or the lease had run out, or was evicted, before. If the
// lease cannot have run out yet, it was the former; or an eviction came just then, of
// which the push would have told, and which, a moment later, would have changed nothing for
// the holder. If it can, nobody knows, and there was nothing to end.
func (b *backend) settle(c *attempt, o client.Outcome) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o.Err != nil {
		c.tried = c.tried || !o.NotExecuted
		return o.Err
	}
	err := ended(o)
	if errors.Is(err, driver.ErrNotHeld) && c.tried && c.phase == held && time.Since(c.start) < c.ttl {
		err = nil
	}
	if err == nil || errors.Is(err, driver.ErrNotHeld) {
		b.end(c)
	}
	return err
}

// ended is what the reply to a release says.
func ended(o client.Outcome) error {
	switch {
	case o.Err != nil:
		return o.Err
	case o.Reply.Code == command.OK:
		return nil
	case o.Reply.Code == command.NotHeld:
		return driver.ErrNotHeld
	}
	return refused(o.Reply.Code)
}
