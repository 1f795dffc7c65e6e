package both

import (
	"context"
	"errors"

	"github.com/fencelock/fencelock/driver"
)

// Renew renews both, and is confirmed when both are: from the earlier Start, for the
// shorter TTL. If one of them has gone, so has the grant.
func (p *Pair) Renew(ctx context.Context, grants []driver.Grant) []driver.Renewal {
	olds, news := make([]driver.Grant, len(grants)), make([]driver.Grant, len(grants))
	for i, g := range grants {
		both := split(g)
		olds[i], news[i] = both.old, both.new
	}
	var ofOld, ofNew []driver.Renewal
	together(func(s side) error {
		if s.isNew {
			ofNew = s.Renew(ctx, news)
		} else {
			ofOld = s.Renew(ctx, olds)
		}
		return nil
	}, p)
	out := make([]driver.Renewal, len(grants))
	for i := range out {
		a, b := ofOld[i], ofNew[i]
		out[i] = driver.Renewal{Start: a.Start, TTL: min(a.TTL, b.TTL), Err: outcome{p.old.blame(a.Err), p.new.blame(b.Err)}.ofHeld()}
		if b.Start.Before(a.Start) {
			out[i].Start = b.Start
		}
	}
	return out
}

// ofHeld is the error of what needs both locks: that one is gone says more than that the
// other could not be asked.
func (o outcome) ofHeld() error {
	for _, err := range []error{o.old, o.new} {
		if errors.Is(err, driver.ErrNotHeld) {
			return err
		}
	}
	return o.join()
}

// Release ends both. What could not be asked counts first, so that the core asks again; by
// then the other is gone, of which the core knows that a request of its own may have done it.
func (p *Pair) Release(ctx context.Context, g driver.Grant) error {
	p.unclaim(g.AttemptID)
	both := split(g)
	o := together(func(s side) error { return s.blame(s.Release(ctx, both.of(s))) }, p)
	return o.ofEnd()
}

func (o outcome) ofEnd() error {
	var open []error
	for _, err := range []error{o.old, o.new} {
		if err != nil && !errors.Is(err, driver.ErrNotHeld) {
			open = append(open, err)
		}
	}
	if len(open) > 0 {
		return errors.Join(open...)
	}
	return o.ofHeld()
}

// Evict ends the grants of the attempt on both servers, or on the one where it has a grant.
// With an empty attemptID it ends whatever grants there are.
func (p *Pair) Evict(ctx context.Context, key, attemptID string) error {
	o := together(func(s side) error { return s.blame(s.Evict(ctx, key, attemptID)) }, p)
	err := o.ofEnd()
	if errors.Is(err, driver.ErrNotHeld) && (o.old == nil || o.new == nil) {
		return nil
	}
	return err
}
