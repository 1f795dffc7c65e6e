package drivertest

import (
	"context"
	"errors"
	"math"
	"strings"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// acquire does what the core does: it asks, and, where the backend does not
// block, asks again when told to.
func (r *fixture) acquire(ctx context.Context, b driver.Backend, req driver.Request) (driver.Grant, error) {
	for {
		g, err := b.Acquire(ctx, req)
		if err == nil {
			r.checkGrant(g, req)
			return g, nil
		}
		var held *driver.HeldError
		if !errors.As(err, &held) || !req.Wait {
			return g, err
		}
		if req.Waiting != nil {
			req.Waiting() // it is the same answer
		}
		again := held.RetryAfter
		if again <= 0 {
			again = 10 * time.Millisecond
		}
		if err := pause(ctx, again); err != nil {
			return driver.Grant{}, err
		}
	}
}

// checkGrant checks what must hold of each grant that is handed out.
func (r *fixture) checkGrant(g driver.Grant, req driver.Request) {
	now := time.Now()
	if g.Key != req.Key || g.AttemptID != req.AttemptID {
		r.Errorf("asked for %s as %s, got a grant of %s for %s", short(req.Key), req.AttemptID, short(g.Key), g.AttemptID)
	}
	switch {
	case r.h.Want.Tokenless:
		if g.Token != 0 {
			r.Errorf("token %d, and Want says that there are none", uint64(g.Token))
		}
	case g.Token == 0 || g.Token > math.MaxInt64:
		r.Errorf("token %d is not from 1 to 1<<63-1", uint64(g.Token))
	}
	if g.TTL < req.TTL {
		r.Errorf("asked for a TTL of %v, got %v", req.TTL, g.TTL)
	}
	if monotonic(now) && !monotonic(g.Start) {
		r.Errorf("Grant.Start %v is no reading of the monotonic clock", g.Start)
	}
	if g.Start.After(now) {
		r.Errorf("Grant.Start is %v in the future", g.Start.Sub(now))
	}
	// This goroutine may have slept since the grant was returned; one short lease
	// is allowed for that.
	if dead := now.Sub(ends(g)); dead > r.ttl {
		r.Errorf("the grant ended %v before Acquire returned it", dead)
	}
}

// monotonic reports whether a time has a reading of the monotonic clock, which
// only its text tells. In a testing/synctest bubble none has.
func monotonic(t time.Time) bool { return strings.Contains(t.String(), " m=") }
