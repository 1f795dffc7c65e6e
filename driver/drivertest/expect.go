package drivertest

import (
	"errors"

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
