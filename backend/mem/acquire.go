package mem

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Acquire asks, waits for its turn, and asks again: the second question finds
// the grant, or that the owner was released, or, if this goroutine slept through
// a whole lease, that there is a place to take anew. So a grant is alive when it
// is returned.
//
// A turn may come at the moment at which ctx ends. If the turn comes first but
// ctx is seen first, the grant stays with the owner, and the Release that follows
// every failed Acquire hands it on. If ctx ends first but the turn is seen first,
// the caller gets a grant, and the next use of its ctx tells it the rest. In
// neither order is the key left with nobody to release it.
func (b *backend) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	for {
		g, place, err := b.ask(ctx, req)
		if place == nil {
			return g, err
		}
		err = b.await(ctx, req, place)
		if released := b.leave(req.Key, place); err != nil {
			return driver.Grant{}, err
		} else if released {
			return driver.Grant{}, driver.ErrReleased
		}
	}
}

// await waits for the turn, and tells the owner that it waits: this server always
// answers.
func (b *backend) await(ctx context.Context, req driver.Request, place *claim) error {
	var again <-chan time.Time
	if req.Waiting != nil {
		tick := time.NewTicker(req.TTL / 3)
		defer tick.Stop()
		again = tick.C
		req.Waiting()
	}
	for {
		select {
		case <-place.turn:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		case <-b.closed:
			return errClosed
		case <-again:
			req.Waiting()
		}
	}
}

// ask returns the grant, or the owner's place in the queue with this call
// counted as an asker.
func (b *backend) ask(ctx context.Context, req driver.Request) (driver.Grant, *claim, error) {
	if err := b.usable(ctx); err != nil {
		return driver.Grant{}, nil, err
	}
	s := b.space
	s.mu.Lock()
	defer s.unlock()
	now := time.Now()
	id := b.id(req.Key)
	l := s.lines[id]
	if l == nil {
		l = &line{space: s, id: id} // settle enters it in the space if it is put to use
	}
	l.settle(now)
	if c := l.held(req.AttemptID, 0); c != nil {
		return c.asGrant(req.Key), nil, nil
	}
	place := l.place(req.AttemptID)
	switch {
	case place == nil && s.dead.Has(req.AttemptID):
		return driver.Grant{}, nil, driver.ErrReleased
	case l.holder != nil && !req.Wait:
		return driver.Grant{}, nil, &driver.HeldError{Identity: l.holder.identity, Left: l.holder.until.Sub(now)}
	case place == nil:
		place = &claim{owner: req.AttemptID, identity: req.Identity, meta: req.Meta, ttl: req.TTL, lost: req.Lost, turn: make(chan struct{})}
		l.queue = append(l.queue, place)
	}
	place.askers++
	l.settle(now)
	if l.holder == place {
		place.askers--
		return place.asGrant(req.Key), nil, nil
	}
	return driver.Grant{}, place, nil
}

// leave takes the call's name off a place, and reports whether its owner was
// released meanwhile. The last one to leave starts the clock of a place that
// still waits; a grant has its own.
func (b *backend) leave(key string, c *claim) (released bool) {
	s := b.space
	s.mu.Lock()
	defer s.unlock()
	c.askers--
	l := s.lines[b.id(key)]
	if c.askers == 0 && l != nil && l.place(c.owner) == c {
		now := time.Now()
		c.until = now.Add(c.ttl)
		l.settle(now)
	}
	return c.released
}

func (c *claim) asGrant(key string) driver.Grant {
	return driver.Grant{Key: key, AttemptID: c.owner, Token: c.token, Start: c.start, TTL: c.ttl}
}
