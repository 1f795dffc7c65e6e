package drivertest

import (
	"errors"
	"slices"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var renewRules = []Rule{{
	Name:     "RenewKeeps",
	Sentence: "Renew extends a grant to its TTL from now: a holder that renews in time keeps the lock for as long as it likes.",
	check: func(r *fixture) {
		a, b := r.clients()
		for range 5 {
			key := r.key()
			g := r.mustLockShort(a, key)
			for begun := g.Start; time.Since(begun) < 4*r.ttl; {
				r.sleepUntil(g.Start.Add(r.ttl / 3))
				last := g
				var err error
				r.until(time.Until(ends(g)), func() bool { // silence leaves it open, and the core asks again
					err = r.renew(a, &g)
					return err == nil || errors.Is(err, driver.ErrNotHeld)
				})
				other, tryErr := r.tryLock(b, key)
				if !time.Now().Before(ends(g)) || !g.Start.Before(ends(last)) {
					break // this machine stalled for a whole lease: nothing is proved
				}
				if err != nil {
					r.Fatalf("Renew in time = %v", err)
				}
				if tryErr == nil {
					r.Fatalf("another got the lock, token %v, while the holder renewed in time", other.Token)
				}
				if g.TTL < r.ttl {
					r.Errorf("Renew extended to %v, the TTL is %v", g.TTL, r.ttl)
				}
				if time.Since(begun) >= 4*r.ttl {
					r.mustRelease(a, g)
					return
				}
			}
		}
		r.Logf("the machine was too slow to renew in time: nothing is proved")
	},
}, {
	Name:     "RenewKeepsOrder",
	Sentence: "Renew answers by one Renewal for each Grant, in order; one grant's failure says nothing about the next.",
	check: func(r *fixture) {
		a, b := r.clients()
		var grants, theirs []driver.Grant
		gone := map[string]string{} // by key: why
		for i := range 24 {
			key := r.key()
			g := r.mustLock(a, key)
			switch i % 4 {
			case 1:
				r.mustRelease(a, g)
				gone[key] = "released"
			case 2:
				r.mustEvict(b, key)
				gone[key] = "evicted"
			case 3:
				r.mustRelease(a, g)
				theirs = append(theirs, r.mustLock(b, key))
				gone[key] = "released, and taken by another"
			}
			grants = append(grants, g)
		}
		swap := func(i, j int) { grants[i], grants[j] = grants[j], grants[i] }
		r.rnd.Shuffle(len(grants), swap)
		// One that is held comes first and one that is gone last, so that answers
		// in reverse cannot look right by chance.
		held := func(g driver.Grant) bool { return gone[g.Key] == "" }
		swap(0, slices.IndexFunc(grants, held))
		last := len(grants) - 1
		swap(last, 1+slices.IndexFunc(grants[1:], func(g driver.Grant) bool { return !held(g) }))
		if out := a.Renew(r.soon(), nil); len(out) != 0 {
			r.Errorf("Renew of nothing returned %d Renewals", len(out))
		}
		before := time.Now()
		out := a.Renew(r.soon(), grants)
		if len(out) != len(grants) {
			r.Fatalf("Renew of %d grants returned %d Renewals", len(grants), len(out))
		}
		for i, g := range grants {
			why := gone[g.Key]
			switch err := out[i].Err; {
			case why == "" && err != nil:
				r.Errorf("Renewal %d of a grant that is held: %v", i, err)
			case why == "" && out[i].Start.Add(out[i].TTL).Before(before):
				r.Errorf("Renewal %d has run out already: %+v", i, out[i])
			case why != "" && !errors.Is(err, driver.ErrNotHeld):
				r.Errorf("Renewal %d of a grant that was %s: %v, want ErrNotHeld", i, why, err)
			}
			if why == "" {
				r.mustRelease(a, g)
			}
		}
		for _, g := range theirs {
			r.mustRelease(b, g)
		}
	},
}, {
	Name:     "RenewDoesNotResurrect",
	Sentence: "A grant that has expired, was released or evicted gets ErrNotHeld, even when the key is free, and stays lost.",
	check: func(r *fixture) {
		b := r.client()
		for _, how := range []string{"expired", "released", "evicted"} {
			a, key := r.client(), r.key()
			var g driver.Grant
			switch how {
			case "expired":
				g = r.mustLockShort(a, key)
				r.waitFree(b, key, r.ttl+r.slack)
			case "released":
				g = r.mustLock(a, key)
				r.mustRelease(a, g)
			case "evicted":
				g = r.mustLock(a, key)
				r.mustEvict(b, key)
			}
			r.wantLost(a, g, "a grant that was "+how+", its key free")
			r.wantLost(a, g, "the same, once more")
			if s := r.mustInspect(b, key); s.Held() {
				r.Errorf("%s, then renewed: Inspect says %+v, want free", how, s)
			}
			next := r.mustLock(b, key)
			r.wantLost(a, g, "a grant that was "+how+", its key taken")
			r.wantHeld(b, next, "another tried to renew what it had lost")
			r.mustRelease(b, next)
			r.wantLost(a, g, "the same, its key free again")
		}
	},
}}
