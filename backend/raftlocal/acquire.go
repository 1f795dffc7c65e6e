package raftlocal

import (
	"context"
	"fmt"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// Acquire makes a claim, which holds the lock at once or waits in the cluster's queue. When
// its turn comes, the cluster says so.
//
// When ctx ends while the claim is granted, either may be noticed first. If it is ctx, the
// grant is not handed out, and the core releases it by its attempt id; if it is the grant, it is
// returned, and the core decides.
func (b *backend) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	if ctx.Err() != nil {
		return driver.Grant{}, context.Cause(ctx)
	}
	c, call, err := b.ask(req)
	if err != nil {
		return driver.Grant{}, err
	}
	defer b.leave(c)
	o := b.client.Wait(ctx, call)
	if o.Err != nil {
		if !o.NotExecuted {
			b.mu.Lock()
			c.late = true
			b.mu.Unlock()
		}
		return driver.Grant{}, o.Err
	}
	switch o.Reply.Code {
	case command.Granted:
	case command.Waiting:
		if err := b.await(ctx, c); err != nil {
			return driver.Grant{}, err
		}
	case command.Held:
		// A leader of an earlier release says no more than that.
		identity, _ := driver.SplitIdentity(o.Reply.Status.Meta)
		return driver.Grant{}, &driver.HeldError{Identity: identity, Left: o.Reply.Status.Left}
	default:
		return driver.Grant{}, refused(o.Reply.Code)
	}
	return b.grant(ctx, c)
}

// ask starts the request for a claim. Release may come at any time: if it is first, the attempt
// is refused here; if it comes later, its command is behind this one, in the cluster as well,
// since both are started under one lock.
func (b *backend) ask(req driver.Request) (*attempt, *client.Call, error) {
	id := attemptKey{req.Key, req.AttemptID}
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.attempts[id]
	switch {
	case b.closed:
		return nil, nil, errClosed
	case b.released.Has(id), c != nil && c.ending:
		return nil, nil, driver.ErrReleased
	}
	if c == nil {
		c = &attempt{backend: b, id: id, ttl: req.TTL, lost: req.Lost, waiting: req.Waiting, first: !req.Retry, late: req.Retry}
	} else {
		c.first, c.waiting = false, req.Waiting
	}
	call, err := b.client.Start(command.Command{
		Op: command.Acquire, Key: b.prefix + req.Key, AttemptID: req.AttemptID, Meta: driver.JoinIdentity(req.Identity, req.Meta), TTL: c.ttl, Wait: req.Wait,
	}, c)
	if err != nil {
		return nil, nil, err
	}
	b.attempts[id] = c
	c.calls++
	return c, call, nil
}

// leave ends a call of Acquire. What the cluster has not, or not for certain, and nobody
// waits for, is remembered until the cluster would have forgotten it.
func (b *backend) leave(c *attempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c.calls--
	switch {
	case c.calls > 0 || c.phase == gone || c.given:
	case c.phase == asking && !c.late:
		b.drop(c)
	default:
		c.until = time.Now().Add(2 * c.ttl)
	}
}

// await returns nil when a claim has got the lock. While there is a call here, backend.keep keeps
// the claim alive.
func (b *backend) await(ctx context.Context, c *attempt) error {
	b.mu.Lock()
	if c.phase != queued {
		b.mu.Unlock()
		return nil // grant finds out
	}
	if c.turn == nil {
		c.turn = make(chan struct{})
	}
	turn := c.turn
	b.mu.Unlock()
	b.client.ExpectPushes(1)
	defer b.client.ExpectPushes(-1)
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		if fault := b.client.Fault(); fault != nil {
			return fmt.Errorf("%w: raft: %w", context.Cause(ctx), fault)
		}
		return context.Cause(ctx)
	case <-b.client.Closing():
		return errClosed
	}
}

// grant hands out a claim that holds the lock, and has not waited too long to be handed out:
// otherwise it is renewed first. So what is handed out is alive.
func (b *backend) grant(ctx context.Context, c *attempt) (driver.Grant, error) {
	for old := c.ttl / 3; ; old = 2 * c.ttl / 3 {
		b.mu.Lock()
		switch {
		case c.ending:
			// Release came first, and ends what we have. If it comes later it finds a grant.
			b.mu.Unlock()
			return driver.Grant{}, driver.ErrReleased
		case c.phase != held:
			b.mu.Unlock()
			return driver.Grant{}, errGone
		case time.Since(c.start) <= old:
			c.given = true
			g := driver.Grant{
				Key: c.id.key, AttemptID: c.id.attemptID, Token: fencing.Token(c.token),
				Start: c.start, TTL: c.ttl, Handle: c,
			}
			b.mu.Unlock()
			return g, nil
		}
		number := c.number[0]
		b.mu.Unlock()
		o := b.client.Do(ctx, command.Command{Op: command.Renew, Claims: []uint64{number}}, &renewal{attempts: []*attempt{c}})
		switch {
		case o.Err != nil:
			return driver.Grant{}, o.Err
		case o.Reply.Code != command.OK:
			return driver.Grant{}, refused(o.Reply.Code)
		}
	}
}
