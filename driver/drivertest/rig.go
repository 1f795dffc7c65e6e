package drivertest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// rig is what a rule works with. Its methods fail the rule when the backend does
// not do the obvious, so that a rule spells out only what it is about.
type rig struct {
	*recorder
	h     *Harness
	rnd   *mathrand.Rand // for the rule's own goroutine
	ttl   time.Duration  // short: it will run out
	long  time.Duration  // outlasts the rule, unless it is evicted
	slack time.Duration
	keys  int
	tag   string // keeps keys apart from those of other rules and runs

	losses sync.Map // owner to error, as told to Request.Lost
}

func newRig(rec *recorder, h *Harness, rule Rule) *rig {
	sum := fnv.New64a()
	sum.Write([]byte(rule.Name))
	return &rig{
		recorder: rec,
		h:        h,
		rnd:      mathrand.New(mathrand.NewPCG(h.Seed, sum.Sum64())),
		ttl:      h.TTL,
		long:     min(h.Want.MaxTTL, patience(h).Round(time.Millisecond)),
		slack:    h.Slack,
		tag:      rule.Name + "/" + rand.Text()[:10],
	}
}

// client returns a client of its own, closed when the rule ends.
func (r *rig) client() driver.Backend {
	b := r.h.New(r.recorder)
	r.Cleanup(func() {
		if err := b.Close(); err != nil {
			r.Logf("Close: %v", err)
		}
	})
	return b
}

func (r *rig) clients() (a, b driver.Backend) { return r.client(), r.client() }

// key returns a key that nobody has used.
func (r *rig) key() string {
	r.keys++
	return fmt.Sprintf("%s/%d", r.tag, r.keys)
}

// request asks for a long lease in the name of a new owner.
func (r *rig) request(key string) driver.Request {
	owner := newOwner()
	return driver.Request{
		Key: key, Owner: owner, Meta: r.Name(), TTL: r.long,
		Lost: func(why error) { r.losses.Store(owner, why) },
	}
}

func newOwner() string { return rand.Text() }

// within returns a context that outlasts anything a working backend does.
func (r *rig) within(d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(r.Context(), d)
	r.Cleanup(cancel)
	return ctx
}

func (r *rig) soon() context.Context { return r.within(r.slack) }

// acquire does what the core does: it asks, and, where the backend does not
// block, asks again when told to.
func (r *rig) acquire(ctx context.Context, b driver.Backend, req driver.Request) (driver.Grant, error) {
	for {
		g, err := b.Acquire(ctx, req)
		if err == nil {
			r.examine(g, req)
			return g, nil
		}
		var held *driver.HeldError
		if !errors.As(err, &held) || !req.Wait {
			return g, err
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

// examine checks what must hold of each grant that is handed out.
func (r *rig) examine(g driver.Grant, req driver.Request) {
	now := time.Now()
	if g.Key != req.Key || g.Owner != req.Owner {
		r.Errorf("asked for %s as %s, got a grant of %s for %s", short(req.Key), req.Owner, short(g.Key), g.Owner)
	}
	if g.Token == 0 || g.Token > math.MaxInt64 {
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

// try asks without waiting.
func (r *rig) try(b driver.Backend, key string) (driver.Grant, error) {
	return r.acquire(r.soon(), b, r.request(key))
}

// lock takes a free key with a long lease.
func (r *rig) lock(b driver.Backend, key string) driver.Grant {
	return r.take(b, r.request(key))
}

// lease takes a free key with a short lease.
func (r *rig) lease(b driver.Backend, key string) driver.Grant {
	req := r.request(key)
	req.TTL = r.ttl
	return r.take(b, req)
}

func (r *rig) take(b driver.Backend, req driver.Request) driver.Grant {
	g, err := r.acquire(r.soon(), b, req)
	if err != nil {
		r.Fatalf("Acquire of a free key %s: %v", short(req.Key), err)
	}
	return g
}

// taken requires that the key is held by another.
func (r *rig) taken(b driver.Backend, key, why string) {
	g, err := r.try(b, key)
	var held *driver.HeldError
	switch {
	case err == nil:
		r.Fatalf("%s: Acquire granted token %v, want ErrHeld", why, g.Token)
	case !errors.As(err, &held):
		r.Fatalf("%s: Acquire = %v, want a *HeldError", why, err)
	}
}

// release ends a grant that is held.
func (r *rig) release(b driver.Backend, g driver.Grant) {
	if err := b.Release(r.soon(), g); err != nil {
		r.Errorf("Release of a grant that is held: %v", err)
	}
}

// nothing requires that Release finds nothing to end.
func (r *rig) nothing(b driver.Backend, g driver.Grant, why string) {
	if err := b.Release(r.soon(), g); !errors.Is(err, driver.ErrNotHeld) {
		r.Errorf("Release of %s = %v, want ErrNotHeld", why, err)
	}
}

// renew renews one grant and takes over what the Renewal says.
func (r *rig) renew(b driver.Backend, g *driver.Grant) error {
	out := b.Renew(r.soon(), []driver.Grant{*g})
	if len(out) != 1 {
		r.Fatalf("Renew of one grant returned %d Renewals", len(out))
	}
	if out[0].Err == nil {
		g.Start, g.TTL = out[0].Start, out[0].TTL
	}
	return out[0].Err
}

// lost requires that the grant is gone for certain.
func (r *rig) lost(b driver.Backend, g driver.Grant, why string) {
	if err := r.renew(b, &g); !errors.Is(err, driver.ErrNotHeld) {
		r.Errorf("Renew of %s = %v, want ErrNotHeld", why, err)
	}
}

// held requires that the grant is still there.
func (r *rig) held(b driver.Backend, g driver.Grant, why string) {
	if err := r.renew(b, &g); err != nil {
		r.Errorf("%s: Renew of the holder's grant = %v, want nil", why, err)
	}
}

func (r *rig) inspect(b driver.Backend, key string) driver.Status {
	s, err := b.Inspect(r.soon(), key)
	if err != nil {
		r.Fatalf("Inspect: %v", err)
	}
	return s
}

// ends is when a grant may end on the server, and not sooner.
func ends(g driver.Grant) time.Time { return g.Start.Add(g.TTL) }

// monotonic reports whether a time has a reading of the monotonic clock, which
// only its text tells. In a testing/synctest bubble none has.
func monotonic(t time.Time) bool { return strings.Contains(t.String(), " m=") }
