package raftlocal

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/fakemember"
	"github.com/fencelock/fencelock/driver"
)

// A grant runs out, and nobody hears of it. Acquire of the same attempt gets another claim: that proves the loss, which the
// holder is told, and the attempt is not granted twice. Release by its id ends the new claim.
func TestNewClaimProvesLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		member := fakemember.New()
		defer member.Close()
		a, _ := on(member)
		defer a.Close()
		b, _ := on(member)
		defer b.Close()
		told := 0
		req := driver.Request{Key: "k", AttemptID: "a", TTL: 3 * time.Second, Lost: func(error) { told++ }}
		g, err := a.Acquire(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		member.Be(fakemember.Forgetful)
		time.Sleep(5 * time.Second)
		other := driver.Request{Key: "k", AttemptID: "b", TTL: time.Second}
		between, err := b.Acquire(t.Context(), other)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Release(t.Context(), between); err != nil {
			t.Fatal(err)
		}
		if told != 0 {
			t.Errorf("told before anything was heard")
		}
		for range 2 {
			if again, err := a.Acquire(t.Context(), req); !errors.Is(err, driver.ErrReleased) {
				t.Errorf("granted once more: %+v, %v", again, err)
			}
		}
		if told != 1 {
			t.Errorf("the holder was told %d times", told)
		}
		if r := a.Renew(t.Context(), []driver.Grant{g}); !errors.Is(r[0].Err, driver.ErrNotHeld) {
			t.Errorf("renewed: %+v", r[0])
		}
		if err := a.Release(t.Context(), driver.Grant{Key: "k", AttemptID: "a"}); err != nil {
			t.Errorf("releasing what was not handed out: %v", err)
		}
		if _, err := b.Acquire(t.Context(), other); err != nil {
			t.Errorf("the lock is not free: %v", err)
		}
	})
}

// A grant that nobody has renewed for long is forgotten, and the cluster, whose clock has stood meanwhile, has it still. That is no
// loss; and Release with the grant ends it.
func TestSweptIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		member := fakemember.New()
		defer member.Close()
		a, _ := on(member)
		defer a.Close()
		g, err := a.Acquire(t.Context(), driver.Request{
			Key: "k", AttemptID: "a", TTL: time.Hour, Lost: func(why error) { t.Errorf("told of a loss: %v", why) },
		})
		if err != nil {
			t.Fatal(err)
		}
		a.mu.Lock()
		a.registry.sweep(time.Now().Add(3 * time.Hour)) // by our clock
		left := len(a.registry.numbers)
		a.mu.Unlock()
		if left > 0 {
			t.Errorf("%d claims are remembered", left)
		}
		if r := a.Renew(t.Context(), []driver.Grant{g}); r[0].Err == nil || errors.Is(r[0].Err, driver.ErrNotHeld) {
			t.Errorf("renewed: %+v, want neither a lease nor a loss", r[0])
		}
		if err := a.Release(t.Context(), g); err != nil {
			t.Errorf("Release = %v", err)
		}
		if r := a.Renew(t.Context(), []driver.Grant{g}); !errors.Is(r[0].Err, driver.ErrNotHeld) {
			t.Errorf("renewed after the release: %+v", r[0])
		}
	})
}
