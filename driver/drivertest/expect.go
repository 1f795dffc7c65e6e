package drivertest

import (
	"context"
	"errors"
	"time"

	"github.com/fencelock/fencelock/driver"
)

// tryLock asks without waiting.
func (r *fixture) tryLock(b driver.Backend, key string) (driver.Grant, error) {
	return r.acquire(r.soon(), b, r.request(key))
}

// mustLock takes a free key with a long lease.
func (r *fixture) mustLock(b driver.Backend, key string) driver.Grant {
	return r.mustAcquire(b, r.request(key))
}

// mustLockShort takes a free key with a short lease.
func (r *fixture) mustLockShort(b driver.Backend, key string) driver.Grant {
	req := r.request(key)
	req.TTL = r.ttl
	return r.mustAcquire(b, req)
}

func (r *fixture) mustAcquire(b driver.Backend, req driver.Request) driver.Grant {
	g, err := r.acquire(r.soon(), b, req)
	if err != nil {
		r.Fatalf("Acquire of a free key %s: %v", short(req.Key), err)
	}
	return g
}

// wantHeldByOther requires that the key is held by another.
func (r *fixture) wantHeldByOther(b driver.Backend, key, why string) {
	g, err := r.tryLock(b, key)
	var held *driver.HeldError
	switch {
	case err == nil:
		r.Fatalf("%s: Acquire granted token %v, want ErrHeld", why, g.Token)
	case !errors.As(err, &held):
		r.Fatalf("%s: Acquire = %v, want a *HeldError", why, err)
	}
}

// mustRelease ends a grant that is held.
func (r *fixture) mustRelease(b driver.Backend, g driver.Grant) {
	if err := b.Release(r.soon(), g); err != nil {
		r.Errorf("Release of a grant that is held: %v", err)
	}
}

// wantNotHeld requires that Release finds nothing to end.
func (r *fixture) wantNotHeld(b driver.Backend, g driver.Grant, why string) {
	if err := b.Release(r.soon(), g); !errors.Is(err, driver.ErrNotHeld) {
		r.Errorf("Release of %s = %v, want ErrNotHeld", why, err)
	}
}

// renew renews one grant and takes over what the Renewal says.
func (r *fixture) renew(b driver.Backend, g *driver.Grant) error {
	out := b.Renew(r.soon(), []driver.Grant{*g})
	if len(out) != 1 {
		r.Fatalf("Renew of one grant returned %d Renewals", len(out))
	}
	if out[0].Err == nil {
		g.Start, g.TTL = out[0].Start, out[0].TTL
	}
	return out[0].Err
}

// wantLost requires that the grant is gone for certain.
func (r *fixture) wantLost(b driver.Backend, g driver.Grant, why string) {
	if err := r.renew(b, &g); !errors.Is(err, driver.ErrNotHeld) {
		r.Errorf("Renew of %s = %v, want ErrNotHeld", why, err)
	}
}

// wantHeld requires that the grant is still there.
func (r *fixture) wantHeld(b driver.Backend, g driver.Grant, why string) {
	if err := r.renew(b, &g); err != nil {
		r.Errorf("%s: Renew of the holder's grant = %v, want nil", why, err)
	}
}

func (r *fixture) mustInspect(b driver.Backend, key string) driver.Status {
	s, err := b.Inspect(r.soon(), key)
	if err != nil {
		r.Fatalf("Inspect: %v", err)
	}
	return s
}

// pause waits for d, or until ctx is done.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// until polls a condition for at most d, and reports whether it came true.
func (r *fixture) until(d time.Duration, cond func() bool) bool {
	for end := time.Now().Add(d); ; {
		if cond() {
			return true
		}
		if time.Now().After(end) || pause(r.Context(), max(min(d/100, 20*time.Millisecond), 100*time.Microsecond)) != nil {
			return false
		}
	}
}

// sleepUntil waits until a moment is over.
func (r *fixture) sleepUntil(t time.Time) {
	if err := pause(r.Context(), time.Until(t)+1); err != nil {
		r.Fatalf("waiting for a lease to run out: %v", err)
	}
}

// waitQueued waits until n waiters stand in the server's queue. A server that cannot
// count them is given a moment instead; no rule about order applies to it.
func (r *fixture) waitQueued(b driver.Backend, key string, n int) {
	if r.mustInspect(b, key).Waiters < 0 {
		r.sleepUntil(time.Now().Add(r.ttl / 4))
		return
	}
	if !r.until(r.slack, func() bool { return r.mustInspect(b, key).Waiters == n }) {
		r.Fatalf("Inspect counts %d waiters, want %d", r.mustInspect(b, key).Waiters, n)
	}
}

// waitFree waits until nobody holds the key, nor waits for it.
func (r *fixture) waitFree(b driver.Backend, key string, d time.Duration) {
	if !r.until(d, func() bool { return idle(r.mustInspect(b, key)) }) {
		r.Errorf("%s should be free, but Inspect says %+v", short(key), r.mustInspect(b, key))
	}
}

// idle reports whether nobody holds the lock, nor waits for it.
func idle(s driver.Status) bool { return !s.Held() && s.Waiters <= 0 }

// holder is who holds the lock, and zero if nobody does.
func holder(s driver.Status) driver.Holder {
	if !s.Held() {
		return driver.Holder{}
	}
	return s.Holders[0]
}
