package drivertest

import (
	"context"
	"time"

	"github.com/fencelock/fencelock/driver"
)

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
