package drivertest

import (
	"errors"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var releaseRules = []Rule{{
	Name: "ReleaseByAttempt",
	Sentence: "Release needs no more than Key and AttemptID, whether or not the request ever reached the server: " +
		"the core has nothing else after a failed Acquire.",
	check: func(r *fixture) {
		a, b := r.clients()
		key := r.key()
		g := r.mustLock(a, key)
		bare := driver.Grant{Key: key, AttemptID: g.AttemptID}
		if err := a.Release(r.soon(), bare); err != nil {
			r.Errorf("Release by Key and AttemptID = %v, want nil", err)
		}
		r.wantLost(a, g, "a grant that was released by its AttemptID")
		g = r.mustLock(b, key)
		r.wantNotHeld(a, bare, "the same attempt again")
		r.wantNotHeld(a, driver.Grant{Key: key, AttemptID: newAttemptID()}, "an attempt that never asked")
		r.wantHeld(b, g, "others were released by AttemptID")

		w := r.startWait(a, key)
		r.waitQueued(b, key, 1)
		r.mustCancel(w)
		r.wantNotHeld(a, driver.Grant{Key: key, AttemptID: w.req.AttemptID}, "a waiter by its AttemptID")
		r.mustRelease(b, g)
		r.waitFree(b, key, r.slack)
	},
}, {
	Name: "ReleaseTellsLoss",
	Sentence: "Release returns nil when it ended a grant, and ErrNotHeld when there was nothing to end: " +
		"a grant that has expired, was evicted, or is released twice.",
	check: func(r *fixture) {
		a, b := r.clients()
		key := r.key()
		g := r.mustLock(a, key)
		r.mustRelease(a, g)
		r.wantNotHeld(a, g, "a grant that was released")

		g = r.mustLock(a, key)
		r.mustEvict(b, key)
		r.wantNotHeld(a, g, "a grant that was evicted")

		dying := r.client()
		g = r.mustLockShort(dying, key)
		r.waitFree(b, key, r.ttl+r.slack)
		r.wantNotHeld(dying, g, "a grant that has expired")
	},
}}

var staleRules = []Rule{{
	Name:     "ReleaseOnlyOwn",
	Sentence: "Release ends the claim of its attempt on its key, and no other's.",
	check: func(r *fixture) {
		a, b := r.clients()
		key, other := r.key(), r.key()

		g := r.mustLock(a, key)
		r.wantNotHeld(b, driver.Grant{Key: key, AttemptID: newAttemptID()}, "a stranger")
		r.wantNotHeld(a, driver.Grant{Key: key, AttemptID: newAttemptID()}, "a stranger of the same client")
		r.wantNotHeld(a, driver.Grant{Key: other, AttemptID: g.AttemptID}, "another key under the same AttemptID")
		r.wantHeld(a, g, "strangers were released")
		r.wantHeldByOther(b, key, "strangers were released")

		// The same client: its former grant must not take the new one with it.
		r.mustRelease(a, g)
		fresh := r.mustLock(a, key)
		r.wantNotHeld(a, g, "the former grant of the same client")
		r.wantHeld(a, fresh, "a former grant of its client was released again")

		// A waiter in the queue: neither.
		w := r.startWait(b, key)
		r.waitQueued(a, key, 1)
		r.wantNotHeld(a, g, "a former grant, with a waiter")
		r.wantWaiting(w, "a former grant was released again")
		r.mustRelease(a, fresh)
		g = r.waitGranted(w, r.slack, "released")
		r.wantNotHeld(a, fresh, "the grant before the waiter's")
		r.wantHeld(b, g, "the grant before it was released again")
		r.mustRelease(b, g)
	},
}, {
	Name:     "StaleHolderIsHarmless",
	Sentence: "A holder whose lease ran out can neither renew nor release, nor disturb the grant of its successor.",
	check: func(r *fixture) {
		b := r.client()
		late, key := r.client(), r.key()
		g := r.mustLockShort(late, key)
		next := r.waitGranted(r.startWait(b, key), r.ttl+r.slack, "behind a holder that sleeps")
		r.wantLost(late, g, "a lease that ran out")
		r.wantNotHeld(late, g, "a lease that ran out")
		r.wantNotHeld(late, driver.Grant{Key: key, AttemptID: g.AttemptID}, "a lease that ran out, by its AttemptID")
		r.wantHeld(b, next, "the one before it woke up")
		r.wantHeldByOther(late, key, "the one before it woke up")
		r.mustRelease(b, next)
	},
}}

var evictRules = []Rule{{
	Name: "Evict",
	Sentence: "Evict ends whatever grant the key has: the next waiter gets the lock, the holder's next Renew says " +
		"ErrNotHeld, and its Request.Lost is called where losses are pushed; ErrNotHeld when nobody holds the key.",
	check: func(r *fixture) {
		a, b := r.clients()
		key := r.key()
		if err := b.Evict(r.soon(), key, ""); !errors.Is(err, driver.ErrNotHeld) {
			r.Errorf("Evict of a free key = %v, want ErrNotHeld", err)
		}
		g := r.mustLock(a, key)
		r.wantNotTold(g, "it is held")
		w := r.startWait(b, key)
		r.waitQueued(a, key, 1)
		r.wantNotTold(g, "somebody waits")
		r.mustEvict(b, key)
		next := r.waitGranted(w, r.slack, "the holder was evicted")
		r.waitTold(g, "it was evicted") // before Renew tells it, too
		r.wantLost(a, g, "a grant that was evicted")
		r.wantNotHeld(a, g, "a grant that was evicted")
		r.wantHeld(b, next, "the one before it was evicted")
		r.wantNotTold(next, "the one before it was evicted")
		r.mustEvict(a, key) // a client may evict the grant of another, or its own
		r.waitFree(b, key, r.slack)
		r.waitTold(next, "it was evicted") // before Renew tells it, too
		r.wantLost(b, next, "a grant that was evicted")
		if err := a.Evict(r.soon(), key, ""); !errors.Is(err, driver.ErrNotHeld) {
			r.Errorf("Evict of a key whose holder was evicted = %v, want ErrNotHeld", err)
		}
	},
}, {
	Name: "EvictOnlyThatAttempt",
	Sentence: "Evict of an attempt ends the grant that this attempt has of the key, and no other's: neither that of who holds the key " +
		"instead, nor that of who comes next; ErrNotHeld when that attempt does not hold the key.",
	check: func(r *fixture) {
		a, b := r.clients()
		key, other := r.key(), r.key()
		g := r.mustLock(a, key)
		w := r.startWait(b, key)
		r.waitQueued(a, key, 1)
		for _, x := range []struct{ key, attempt, why string }{
			{key, newAttemptID(), "an attempt that never asked"},
			{key, w.req.AttemptID, "an attempt that waits"},
			{key, g.AttemptID[:len(g.AttemptID)-1], "the beginning of the holder's name"},
			{key, g.AttemptID + "0", "more than the holder's name"},
			{other, g.AttemptID, "the holder of another key"},
		} {
			if err := b.Evict(r.soon(), x.key, x.attempt); !errors.Is(err, driver.ErrNotHeld) {
				r.Errorf("Evict of %s = %v, want ErrNotHeld", x.why, err)
			}
			r.wantHeld(a, g, "evicted was "+x.why)
			r.wantWaiting(w, "evicted was "+x.why)
		}
		r.wantNotTold(g, "others were evicted")
		r.mustEvictAttempt(b, g)
		next := r.waitGranted(w, r.slack, "the holder was evicted by its name")
		r.waitTold(g, "it was evicted by its name")
		for range 2 { // the operator has looked before the hand-off, and is late
			if err := b.Evict(r.soon(), key, g.AttemptID); !errors.Is(err, driver.ErrNotHeld) {
				r.Errorf("Evict of an attempt that was evicted = %v, want ErrNotHeld", err)
			}
			r.wantHeld(b, next, "the one before it was evicted once more")
		}
		r.wantLost(a, g, "a grant that was evicted by its name")
		r.wantNotHeld(a, g, "a grant that was evicted by its name")
		r.wantNotTold(next, "the one before it was evicted")
		r.mustEvictAttempt(b, next) // a client may evict its own
		r.waitFree(a, key, r.slack)
		if err := a.Evict(r.soon(), key, next.AttemptID); !errors.Is(err, driver.ErrNotHeld) {
			r.Errorf("Evict of a free key = %v, want ErrNotHeld", err)
		}
		for range 20 { // an eviction and a release at once: whichever is first, it is over with that attempt only
			key := r.key()
			g := r.mustLock(a, key)
			w := r.startWait(b, key)
			r.waitQueued(a, key, 1)
			evicted := make(chan error, 1)
			go func() { evicted <- b.Evict(r.soon(), key, g.AttemptID) }()
			lag(r.Context(), time.Duration(r.rnd.Int64N(int64(time.Millisecond))))
			released := a.Release(r.soon(), g)
			gone := <-evicted
			for name, err := range map[string]error{"Evict": gone, "Release": released} {
				if err != nil && !errors.Is(err, driver.ErrNotHeld) || gone != nil && released != nil {
					r.Errorf("%s, of Evict and Release of an attempt at once, one of which ends its grant = %v", name, err)
				}
			}
			next := r.waitGranted(w, r.slack, "released and evicted")
			r.wantHeld(b, next, "the one before it was released and evicted")
			r.mustRelease(b, next)
		}
	},
}, {
	Name:     "LostIsNoRumour",
	Sentence: "Request.Lost is never called for a grant that was released, or that may still be there.",
	check: func(r *fixture) {
		a, b := r.clients()
		key, short := r.key(), r.key()
		g := r.mustLock(a, key)
		w := r.startWait(b, key)
		r.waitQueued(a, key, 1)
		r.mustRelease(a, g)
		next := r.waitGranted(w, r.slack, "released")
		r.mustRelease(b, next)
		kept := r.mustLock(a, key)
		r.mustLockShort(r.client(), short)
		r.waitFree(b, short, r.ttl+r.slack) // long enough for a rumour to spread
		r.wantNotTold(g, "it was released")
		r.wantNotTold(next, "it was released")
		r.wantNotTold(kept, "it is held")
		r.mustRelease(a, kept)
	},
}}

func (r *fixture) mustEvict(b driver.Backend, key string) {
	if err := b.Evict(r.soon(), key, ""); err != nil {
		r.Errorf("Evict of a key that is held: %v", err)
	}
}

func (r *fixture) mustEvictAttempt(b driver.Backend, g driver.Grant) {
	if err := b.Evict(r.soon(), g.Key, g.AttemptID); err != nil {
		r.Errorf("Evict of the attempt that holds the key: %v", err)
	}
}

func (r *fixture) wantNotTold(g driver.Grant, why string) {
	if _, told := r.losses.Load(g.AttemptID); told && time.Now().Before(ends(g)) {
		r.Errorf("Request.Lost was called although %s", why)
	}
}

// waitTold requires of a backend that pushes that it pushes losses, too.
func (r *fixture) waitTold(g driver.Grant, why string) {
	told := func() bool { _, ok := r.losses.Load(g.AttemptID); return ok }
	if r.h.Want.Features.Has(driver.Push) && !r.until(r.slack, told) {
		r.Errorf("Request.Lost was not called although %s", why)
	}
}
