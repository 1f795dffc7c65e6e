package raftlocal

import (
	"context"
	"errors"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/client"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// Release ends a claim: by its number if all is known about it, by its attempt id otherwise. The
// command is behind those of Acquire, in the cluster as well, so that it ends what they
// have made, and they make nothing after it.
func (b *backend) Release(ctx context.Context, g driver.Grant) error {
	a, call, err := b.letGo(g)
	if err != nil {
		return err
	}
	o := b.client.Wait(ctx, call)
	if a == nil {
		return ended(o)
	}
	return b.settle(a, o)
}

// letGo starts the command that ends a claim. The attempt is nil if this client has none, or has swept it.
func (b *backend) letGo(g driver.Grant) (*attempt, *client.Call, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, nil, errClosed
	}
	if a := b.registry.ledger.Of(g); a != nil && a.claim == holding && g.Token != 0 && uint64(g.Token) != a.token {
		return nil, nil, driver.ErrNotHeld
	}
	a, late := b.registry.ledger.Release(g)
	if a != nil && a.swept {
		a = nil
	}
	if a != nil {
		if a.Phase() == attempts.Gone {
			return nil, nil, driver.ErrNotHeld
		}
		a.until = time.Now().Add(2 * a.TTL)
		if a.claim == holding && !late {
			call, err := b.client.Start(command.Command{Op: command.Release, Claims: a.number[:]}, nil)
			return a, call, err
		}
	}
	call, err := b.client.Start(command.Command{Op: command.Release, Key: b.prefix + g.Key, AttemptID: g.AttemptID}, nil)
	return a, call, err
}

// settle records the outcome of a release.
//
// When an attempt has no outcome, and a later one finds nothing, two things may have happened:
// the earlier attempt was carried out, or the lease had run out, or was evicted, before. If the
// lease cannot have run out yet, it was the former; or an eviction came just then, of
// which the push would have told, and which, a moment later, would have changed nothing for
// the holder. If it can, nobody knows, and there was nothing to end.
func (b *backend) settle(a *attempt, o client.Outcome) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if o.Err != nil {
		a.tried = a.tried || !o.NotExecuted
		return o.Err
	}
	err := ended(o)
	if errors.Is(err, driver.ErrNotHeld) && a.tried && a.claim == holding && time.Since(a.start) < a.TTL {
		err = nil
	}
	if err == nil || errors.Is(err, driver.ErrNotHeld) {
		_ = b.registry.forget(a) // nobody is told: it was released
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
