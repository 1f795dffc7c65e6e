package etcd

import (
	"errors"
	"testing"
	"time"

	"github.com/fencelock/fencelock/backend/etcd/internal/session"
	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/driver/attempts"
)

// TestKeptAliveAfterRevoke: etcd 3.7 may still extend a lease whose end is decided and not yet
// carried out. What is decided is seen by the majority that is asked afterwards: the lease is not
// trusted any more.
func TestKeptAliveAfterRevoke(t *testing.T) {
	f := serve(t)
	b, g, lost := f.lock(t, 4*time.Second)
	f.set(func() { f.revoked = true }) // nobody tells, and keep-alives succeed
	revoked := time.Now()
	eventually(t, "Renew says that it is not held", func() bool {
		r := b.Renew(t.Context(), []driver.Grant{g})[0]
		if r.Err == nil && r.Start.After(revoked) {
			t.Fatalf("Renew counts from %v after the end of the lease", r.Start.Sub(revoked))
		}
		return errors.Is(r.Err, driver.ErrNotHeld)
	})
	select {
	case <-lost:
	case <-time.After(10 * time.Second):
		t.Error("the holder is not told")
	}
}

// TestEndedSessionIsNotEntered: an attempt that got its session just before that ended is not kept.
// Nothing would end it: those of the session have been forgotten already.
func TestEndedSessionIsNotEntered(t *testing.T) {
	f := serve(t)
	b, g, lost := f.lock(t, 30*time.Second)
	s := b.registry.ledger.Of(g).session
	s.End(session.ErrForgotten)
	<-lost
	for _, retry := range []bool{false, true} {
		req := driver.Request{Key: "late", AttemptID: "late", TTL: 30 * time.Second, Retry: retry}
		if _, err := b.registry.enter(req, s); !errors.Is(err, session.ErrGone) {
			t.Errorf("enter = %v, want that the session is gone", err)
		}
	}
	if b.registry.inUse(s) || len(b.registry.names) > 0 {
		t.Errorf("the names %v are left", b.registry.names)
	}
	if _, err := b.Acquire(t.Context(), driver.Request{Key: "late", AttemptID: "late", TTL: 30 * time.Second, Retry: true}); err != nil {
		t.Errorf("Acquire on the next session = %v", err)
	}
}

// TestEvictedOnOneOfTwoKeys: an eviction tells the attempt and not the key. Where an attempt has two, the server is asked,
// and nobody is told of a loss that was another's.
func TestEvictedOnOneOfTwoKeys(t *testing.T) {
	f := serve(t)
	b, g, lost := f.lock(t, 30*time.Second)
	other, err := b.Acquire(t.Context(), driver.Request{Key: "other", AttemptID: g.AttemptID, TTL: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	s := b.registry.ledger.Of(g).session
	b.evicted(s, g.AttemptID, fakeClaim+1) // though the server has both
	for i, r := range b.Renew(t.Context(), []driver.Grant{g, other}) {
		if r.Err != nil {
			t.Errorf("grant %d: Renew = %v", i, r.Err)
		}
	}
	if err := b.Release(t.Context(), other); err != nil {
		t.Errorf("Release = %v", err)
	}
	b.evicted(s, g.AttemptID, fakeClaim-1) // told late: it was of an earlier claim
	if r := b.Renew(t.Context(), []driver.Grant{g})[0]; r.Err != nil {
		t.Errorf("after an eviction before the grant: Renew = %v", r.Err)
	}
	b.evicted(s, g.AttemptID, fakeClaim+1)
	select {
	case <-lost:
	case <-time.After(10 * time.Second):
		t.Error("the holder is not told")
	}
}

// TestOldClaimGoneNewClaimHeld: of two calls of an attempt, one has asked for the claim that was evicted, and hears that it is
// gone when the other has been granted the next one. Nobody is told of a loss, and Release finds what there is to delete.
func TestOldClaimGoneNewClaimHeld(t *testing.T) {
	f := serve(t)
	b, other, _ := f.lock(t, 30*time.Second)
	s := b.registry.ledger.Of(other).session
	req := driver.Request{Key: "twice", AttemptID: "twice", TTL: 30 * time.Second, Lost: func(why error) { t.Errorf("told of a loss: %v", why) }}
	var a *attempt
	for range 2 {
		var err error
		if a, err = b.registry.enter(req, s); err != nil {
			t.Fatal(err)
		}
	}
	const first, second = 5, 9
	b.registry.sawClaim(a, first)
	b.evicted(s, a.AttemptID, first+1)
	b.registry.sawClaim(a, second)
	g, err := b.registry.grant(a, time.Now())
	if err != nil || g.Token != second {
		t.Fatalf("grant = %v, %v", g, err)
	}
	if err := b.registry.sawNoClaim(a, first); !errors.Is(err, driver.ErrUnavailable) {
		t.Errorf("the call that asked for the first claim: %v", err)
	}
	b.registry.leave(a)
	b.registry.leave(a)
	if a, _, gone := b.registry.release(g); a == nil || gone {
		t.Error("Release takes the grant for lost, and leaves its claim")
	}
}

// TestCheckForgetsNoRequest: Renew finds no claim of an attempt that asks, or is being released. A request that makes it may
// still come, and the attempt is not forgotten before that is sorted out.
func TestCheckForgetsNoRequest(t *testing.T) {
	f := serve(t)
	b, other, _ := f.lock(t, 30*time.Second)
	s := b.registry.ledger.Of(other).session
	a, err := b.registry.enter(driver.Request{Key: "asks", AttemptID: "asks", TTL: 30 * time.Second}, s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.registry.sending(a); err != nil {
		t.Fatal(err)
	}
	g := driver.Grant{Key: a.Key, AttemptID: a.AttemptID, TTL: 30 * time.Second}
	for _, phase := range []attempts.Phase{attempts.Asking, attempts.Ending} {
		if phase == attempts.Ending {
			b.registry.release(g)
		}
		if r := b.Renew(t.Context(), []driver.Grant{g})[0]; !errors.Is(r.Err, driver.ErrNotHeld) {
			t.Errorf("phase %d: Renew = %v", phase, r.Err)
		}
		if a.Phase() != phase {
			t.Errorf("phase %d: it has become %d", phase, a.Phase())
		}
	}
	b.registry.leave(a)
}
