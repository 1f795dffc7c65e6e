package drivertest_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock"
	"github.com/fencelock/fencelock/backend/mem"
	"github.com/fencelock/fencelock/driver/drivertest"
)

// A holder that is cut off learns nothing of an eviction, until it is connected again and
// renews: two have the lock meanwhile, which is what a test of code that uses locks may want
// to see.
func TestCutHolderIsNotTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		space := mem.NewSpace()
		network := drivertest.NewLink(mem.New(space), 0)
		open := func(b *fencelock.Client, err error) *fencelock.Client {
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { b.Close() })
			return b
		}
		cut, another := open(fencelock.New(network, nil)), open(fencelock.New(mem.New(space), nil))
		lease, err := cut.Lock(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		mend := network.Cut()
		if _, err := another.Evict(t.Context(), "k", ""); err != nil {
			t.Fatal(err)
		}
		if _, err := another.TryLock(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if err := lease.Err(); err != nil {
			t.Errorf("told over a link that is cut: %v", err)
		}
		mend()
		time.Sleep(fencelock.DefaultTTL / 3)
		if err := lease.Err(); !errors.Is(err, fencelock.ErrLost) {
			t.Errorf("after the renewal: %v, want ErrLost", err)
		}
	})
}
