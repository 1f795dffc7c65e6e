package redlock_test

import (
	"errors"
	"testing"
	"time"

	"github.com/fencelock/fencelock"
	_ "github.com/fencelock/fencelock/backend/redis"
	"github.com/fencelock/fencelock/integration/internal/locktest"
)

// TestIsolation: databases and namespaces are worlds of their own, and so are redis:// and
// redlock:// on the same servers in the same namespace.
func TestIsolation(t *testing.T) {
	t.Parallel()
	w := sharedEnv(t, 3)
	held := locktest.Lock(t, w.open(t, longTTL), "k")
	at := "redlock://" + w.addrs()[0] + "," + w.addrs()[1] + "," + w.addrs()[2]
	for _, other := range []string{
		at + "/1?namespace=" + w.ns,
		at + "?namespace=" + w.ns + "2",
		at + "?namespace=" + w.ns + ":k",
		at + "?namespace=" + w.ns[:len(w.ns)-1],
		at + "?namespace=" + w.ns + ":redlock",
		"redis://" + w.addrs()[0] + "?namespace=" + w.ns,
		"redis://" + w.addrs()[0] + "?namespace=" + w.ns + ":redlock",
	} {
		c := locktest.Open(t, other, "", longTTL)
		if s, err := c.Inspect(t.Context(), "k"); err != nil || s.Held() {
			t.Errorf("%s: Inspect = %+v, %v; want nobody", other, s, err)
		}
		if _, err := c.Evict(t.Context(), "k", ""); !errors.Is(err, fencelock.ErrNotHeld) {
			t.Errorf("%s: Evict = %v, want ErrNotHeld", other, err)
		}
		locktest.Unlock(t, locktest.Lock(t, c, "k"))
	}
	if err := held.Ensure(t.Context(), time.Second); err != nil {
		t.Errorf("the lease: %v", err)
	}
	same := locktest.Open(t, at+"/0", w.ns, longTTL)
	if _, err := same.TryLock(t.Context(), "k"); !errors.Is(err, fencelock.ErrHeld) {
		t.Errorf("TryLock in the same namespace = %v, want ErrHeld", err)
	}
	locktest.Unlock(t, held)
}

// TestManyKeys: keys that look like our own names are keys like any other.
func TestManyKeys(t *testing.T) {
	t.Parallel()
	w := sharedEnv(t, 3)
	a, b := w.open(t, longTTL), w.open(t, longTTL)
	var held []*fencelock.Lease
	for _, key := range []string{"k", "l:k", "q:k", "w:k", "x:o:k", "t:1", "node", "id", "list", "c:x", "{k}", ":k", " k", "k\n", "%s", "*"} {
		held = append(held, locktest.Lock(t, a, key))
		if l, err := b.TryLock(t.Context(), key); !errors.Is(err, fencelock.ErrHeld) {
			t.Errorf("TryLock of %q = %v, %v; want ErrHeld", key, l, err)
		}
	}
	for _, l := range held {
		locktest.Unlock(t, l)
	}
	w.expectNothingLeft(t)
}
