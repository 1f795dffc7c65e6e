package raftlocal

import (
	"context"
	"fmt"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
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
	a, call, err := b.ask(req)
	if err != nil {
		return driver.Grant{}, err
	}
	defer b.leave(a)
	o := b.client.Wait(ctx, call)
	if o.Err != nil {
		if !o.NotExecuted {
			b.mu.Lock()
			a.Late = true
			b.mu.Unlock()
		}
		return driver.Grant{}, o.Err
	}
	switch o.Reply.Code {
	case command.Granted:
	case command.Waiting:
		if err := b.await(ctx, a); err != nil {
			return driver.Grant{}, err
		}
	case command.Held:
		// A leader of an earlier release says no more than that.
		identity, _ := driver.SplitIdentity(o.Reply.Status.Meta)
		return driver.Grant{}, &driver.HeldError{Identity: identity, Left: o.Reply.Status.Left}
	default:
		return driver.Grant{}, refused(o.Reply.Code)
	}
	return b.grant(ctx, a)
}

// ask starts the request for a claim. Release may come at any time: if it is first, the attempt
// is refused here; if it comes later, its command is behind this one, in the cluster as well,
// since both are started under one lock.
func (b *backend) ask(req driver.Request) (*attempt, *client.Call, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, nil, errClosed
	}
	fresh := &attempt{backend: b, first: !req.Retry}
	a, err := b.registry.ledger.Enter(req, fresh)
	if err != nil {
		return nil, nil, err
	}
	a.first = a.first && a == fresh
	a.waiting = req.Waiting
	call, err := b.client.Start(command.Command{
		Op: command.Acquire, Key: b.prefix + req.Key, AttemptID: req.AttemptID, Meta: driver.JoinIdentity(req.Identity, req.Meta), TTL: a.TTL, Wait: req.Wait,
	}, a)
	if err != nil {
		b.leaveLocked(a)
		return nil, nil, err
	}
	a.Sent = true
	return a, call, nil
}

// leave ends a call of Acquire. What the cluster has, or may have, and nobody waits for, is remembered until
// the cluster has forgotten it.
func (b *backend) leave(a *attempt) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.leaveLocked(a)
}

func (b *backend) leaveLocked(a *attempt) {
	if a.Calls() == 1 {
		// All requests have an answer, or are late: what is known of the claim is all that there is.
		a.Sent = a.claim != unknown || a.Late
	}
	a.until = time.Now().Add(2 * a.TTL)
	b.registry.ledger.Leave(a, a.until)
}

// await returns nil when a claim has got the lock. While there is a call here, backend.keep keeps
// the claim alive.
func (b *backend) await(ctx context.Context, a *attempt) error {
	b.mu.Lock()
	if a.claim != queued {
		b.mu.Unlock()
		return nil // grant finds out
	}
	if a.turn == nil {
		a.turn = make(chan struct{})
	}
	turn := a.turn
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
//
// Grant against loss or release: if one of those was first, the attempt is over, and Acquire says so. If it
// comes later, it finds a grant.
func (b *backend) grant(ctx context.Context, a *attempt) (driver.Grant, error) {
	for old := a.TTL / 3; ; old = 2 * a.TTL / 3 {
		b.mu.Lock()
		var err error
		switch {
		case a.Phase() >= attempts.Ending:
			err = a.Err()
		case a.claim != holding:
			err = errGone
		case time.Since(a.start) <= old:
			g, err := b.registry.ledger.Grant(a, fencing.Token(a.token), a.start, a.TTL)
			b.mu.Unlock()
			return g, err
		}
		number := a.number[0]
		b.mu.Unlock()
		if err != nil {
			return driver.Grant{}, err
		}
		o := b.client.Do(ctx, command.Command{Op: command.Renew, Claims: []uint64{number}}, &renewal{attempts: []*attempt{a}})
		switch {
		case o.Err != nil:
			return driver.Grant{}, o.Err
		case o.Reply.Code != command.OK:
			return driver.Grant{}, refused(o.Reply.Code)
		}
	}
}
