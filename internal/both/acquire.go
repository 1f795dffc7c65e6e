package both

import (
	"context"
	"errors"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// Acquire takes the old lock, then the new one.
//
// A failure in between leaves the old lock where it is, for the next call with the same
// AttemptID, which gets it again, or for Release. Only a TryLock that is told no gives it back
// at once.
func (p *Pair) Acquire(ctx context.Context, req driver.Request) (driver.Grant, error) {
	early := &early{tell: req.Lost}
	ofOld := req
	if req.Lost != nil {
		ofOld.Lost = early.lost
	}
	old, err := p.first(ctx, ofOld)
	switch {
	case errors.Is(err, errGone):
		return ended(driver.Grant{Key: req.Key, AttemptID: req.AttemptID, TTL: req.TTL}, driver.Grant{}, req), nil
	case err != nil:
		return driver.Grant{}, p.old.blame(err)
	}
	hold := p.keep(ctx, old, early)
	fresh, err := p.under(hold, req)
	old, gone := hold.end()
	switch {
	case errors.Is(err, driver.ErrHeld):
		if undo := p.old.Release(ctx, old); undo != nil && !errors.Is(undo, driver.ErrNotHeld) {
			return driver.Grant{}, p.old.blame(undo)
		}
		return driver.Grant{}, p.new.blame(err)
	case ctx.Err() != nil && err != nil:
		return driver.Grant{}, err
	case gone || err == nil && !early.granted():
		return ended(old, fresh, req), nil
	case err != nil:
		p.claim(req.AttemptID)
		return driver.Grant{}, p.new.blame(err)
	}
	p.unclaim(req.AttemptID)
	if err := p.rises(old.Token, fresh.Token); err != nil {
		return driver.Grant{}, err
	}
	g := fresh
	g.Handle = parts{old, fresh}
	if old.Start.Before(g.Start) {
		g.Start = old.Start
	}
	g.TTL = min(g.TTL, old.TTL)
	return g, nil
}

// first takes the old lock. An attempt whose request for the new lock failed may have a claim to
// it, and so does not wait for the old lock: it should have that still. If it has not, the old
// lock is gone, and the attempt must begin again.
func (p *Pair) first(ctx context.Context, req driver.Request) (driver.Grant, error) {
	p.mu.Lock()
	_, claims := p.claims[req.AttemptID]
	p.mu.Unlock()
	if !claims {
		return p.old.Acquire(ctx, req)
	}
	req.Wait = false
	g, err := p.old.Acquire(ctx, req)
	if errors.Is(err, driver.ErrHeld) {
		return g, errGone
	}
	return g, err
}

func (p *Pair) claim(attemptID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.claims == nil {
		p.claims = make(map[string]struct{})
	}
	p.claims[attemptID] = struct{}{}
}

// unclaim forgets an attempt that has both locks, or is being released.
func (p *Pair) unclaim(attemptID string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.claims, attemptID)
}

// under takes the new lock, for as long as that may take: a backend that would be called
// again by the core is called again here, where the old lock is renewed meanwhile.
func (p *Pair) under(h *hold, req driver.Request) (driver.Grant, error) {
	told := req.Waiting
	req.Waiting = func() {
		h.waits()
		if told != nil {
			told()
		}
	}
	for {
		g, err := p.new.Acquire(h.ctx, req)
		if !errors.Is(err, driver.ErrHeld) || !req.Wait {
			return g, err
		}
		req.Waiting()
		pause := req.TTL / 16
		if held := (*driver.HeldError)(nil); errors.As(err, &held) && held.RetryAfter > 0 {
			pause = held.RetryAfter
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-h.ctx.Done():
			t.Stop()
			return driver.Grant{}, context.Cause(h.ctx)
		}
	}
}

// ended is the grant of an attempt that lost the old lock while it waited for the new one. Its
// lease has ended when it comes, so the core gives both locks back and begins again as another
// attempt. After an error the core would ask again as the same attempt, and wait for the old lock
// while it has the new one: in the wrong order.
func ended(old, fresh driver.Grant, req driver.Request) driver.Grant {
	if fresh.AttemptID == "" { // not granted, but it may be in the queue
		fresh = driver.Grant{Key: req.Key, AttemptID: req.AttemptID, Token: old.Token, TTL: req.TTL}
	}
	return driver.Grant{
		Key: req.Key, AttemptID: req.AttemptID, Token: fresh.Token,
		Start: time.Now().Add(-req.TTL), TTL: req.TTL, Handle: parts{old, fresh},
	}
}

// parts are the grants of the two.
type parts struct{ old, new driver.Grant }

// split makes the two grants of one. Where no more is known than Key and AttemptID, neither
// has more.
func split(g driver.Grant) parts {
	both, ok := g.Handle.(parts)
	if !ok {
		g.Token, g.Handle = 0, nil
		return parts{g, g}
	}
	both.old.Start, both.old.TTL = g.Start, g.TTL
	both.new.Start, both.new.TTL = g.Start, g.TTL
	return both
}

func (b parts) of(s side) driver.Grant {
	if s.isNew {
		return b.new
	}
	return b.old
}
