package mem

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Acquire asks for the lock, through the faults that are injected.
func (b *backend) Acquire(ctx context.Context, req driver.Request) (g driver.Grant, err error) {
	err = b.send(ctx, OpAcquire, req.Key, req.TTL, func(answered bool) (err error) {
		if !answered {
			b.enqueue(req)
			return nil
		}
		g, err = b.acquire(ctx, req)
		return err
	})
	if err != nil {
		return driver.Grant{}, err
	}
	return g, nil
}

// acquire asks, waits for its turn, and asks again: the second question finds
// the grant, or that the attempt was released, or, if this goroutine slept through
// a whole lease, that there is a position to take again. So a grant is alive when it
// is returned.
//
// A turn may come at the moment at which ctx ends. If the turn comes first but
// ctx is seen first, the grant stays with the attempt, and the Release that follows
// every failed Acquire hands it on. If ctx ends first but the turn is seen first,
// the caller gets a grant, and the next use of its ctx tells it the rest. In
// neither order is the key left with nobody to release it.
func (b *backend) acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	for {
		g, position, err := b.ask(req)
		if position == nil {
			return g, err
		}
		err = b.await(ctx, req, position)
		if released := b.leave(req.Key, position); err != nil {
			return driver.Grant{}, err
		} else if released {
			return driver.Grant{}, driver.ErrReleased
		}
		if err := b.usable(ctx); err != nil {
			return driver.Grant{}, err
		}
	}
}

// enqueue is a request with a lost answer: the attempt has a grant or a position, and no
// call waits for it.
func (b *backend) enqueue(req driver.Request) {
	if _, position, _ := b.ask(req); position != nil {
		b.leave(req.Key, position)
	}
}

// await waits for the turn, and tells the attempt that it waits for as long as the server answers. A
// server that goes away breaks the connection; one that falls silent is given up after the time that any
// request has.
func (b *backend) await(ctx context.Context, req driver.Request, position *claim) error {
	var again <-chan time.Time
	if req.Waiting != nil {
		tick := time.NewTicker(req.TTL / 3)
		defer tick.Stop()
		again = tick.C
	}
	told := req.Waiting == nil
	for {
		changed, kind := b.space.faults.duringWait(b, req.Key)
		switch kind {
		case Down:
			return errDown
		case Silent:
			if err := b.silence(ctx, req.TTL, changed); err != nil {
				return err
			}
			continue // healed, or another fault
		}
		if !told {
			told = true
			req.Waiting()
		}
		select {
		case <-position.turn:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-b.closed:
			return errClosed
		case <-changed:
		case <-again:
			req.Waiting()
		}
	}
}

// ask returns the grant, or the attempt's position in the queue with this call
// counted as a caller.
func (b *backend) ask(req driver.Request) (driver.Grant, *claim, error) {
	s := b.space
	s.mu.Lock()
	defer s.unlock()
	now := time.Now()
	id := b.id(req.Key)
	k := s.keys[id]
	if k == nil {
		k = &keyState{space: s, id: id} // settle enters it in the space if it is put to use
	}
	k.settle(now)
	if c := k.heldBy(req.AttemptID, 0); c != nil {
		return c.asGrant(req.Key), nil, nil
	}
	c := k.waiter(req.AttemptID)
	switch {
	case c == nil && s.tombstones.Has(req.AttemptID):
		return driver.Grant{}, nil, driver.ErrReleased
	case k.holder != nil && !req.Wait:
		return driver.Grant{}, nil, &driver.HeldError{Identity: k.holder.identity, Left: k.holder.until.Sub(now)}
	case c == nil:
		c = &claim{
			client: b, attemptID: req.AttemptID, identity: req.Identity, meta: req.Meta,
			ttl: req.TTL, lost: req.Lost, turn: make(chan struct{}),
		}
		k.queue = append(k.queue, c)
	}
	c.callers++
	k.settle(now)
	if k.holder == c {
		c.callers--
		return c.asGrant(req.Key), nil, nil
	}
	return driver.Grant{}, c, nil
}

// leave ends the call's wait at a position, and reports whether its attempt was
// released meanwhile. The last one to leave starts the clock of a position that
// still waits; a grant has its own.
func (b *backend) leave(key string, c *claim) (released bool) {
	s := b.space
	s.mu.Lock()
	defer s.unlock()
	c.callers--
	k := s.keys[b.id(key)]
	if c.callers == 0 && k != nil && k.waiter(c.attemptID) == c {
		now := time.Now()
		c.until = now.Add(c.ttl)
		k.settle(now)
	}
	return c.released
}

func (c *claim) asGrant(key string) driver.Grant {
	return driver.Grant{Key: key, AttemptID: c.attemptID, Token: c.token, Start: c.start, TTL: c.ttl}
}
