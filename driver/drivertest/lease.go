package drivertest

import (
	"errors"
	"slices"
	"time"

	"github.com/fencelock/fencelock/driver"
)

var startRules = []Rule{{
	Name: "StartIsBeforeRequest",
	Sentence: "Counted from Start, the TTL ends no later than the grant does on the server: Start was read before " +
		"the request was sent that granted or last renewed.",
	check: func(r *fixture) {
		b := r.client()
		const tries = 15
		late := 0
		for range tries {
			before := time.Now()
			g := r.mustLock(b, r.key())
			if nearReply(before, g.Start, time.Now()) {
				late++
			}
			before = time.Now()
			if err := r.renew(b, &g); err != nil {
				r.Fatalf("Renew: %v", err)
			}
			if nearReply(before, g.Start, time.Now()) {
				late++
			}
			r.mustRelease(b, g)
		}
		if late > tries {
			r.Errorf("in %d of %d calls Start is nearer to the reply than to the request", late, 2*tries)
		}

		for _, kind := range []string{"granted at once", "renewed", "pushed"} {
			a, key := r.client(), r.key() // a client that does nothing else, and does not renew
			var g driver.Grant
			switch kind {
			case "granted at once":
				g = r.mustLockShort(a, key)
			case "renewed":
				g = r.mustLockShort(a, key)
				if err := r.renew(a, &g); err != nil {
					r.Logf("renewed too late: %v", err)
				}
			case "pushed":
				before := r.mustLock(b, key)
				req := r.request(key)
				req.TTL = r.ttl
				w := r.startWaitFor(a, req)
				r.waitQueued(b, key, 1)
				r.mustRelease(b, before)
				g = r.waitGranted(w, r.slack, "released")
			}
			next := r.startWait(b, key)
			after := r.waitGranted(next, r.ttl+r.slack, "behind a short lease")
			r.wantNotEarly(next.at, ends(g), "a grant that was "+kind+" went to another")
			r.mustRelease(b, after)
		}
	},
}}

// nearReply reports whether Start looks as if it had been read when a call
// returned. It needs a server that takes its time, and may be wrong about a
// single call.
func nearReply(before, start, after time.Time) bool {
	return start.Sub(before) > 100*time.Microsecond && after.Sub(start) < start.Sub(before)/4
}

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

var expiryRules = []Rule{{
	Name: "ExpiryFrees",
	Sentence: "The lock of a holder that has died is free when its TTL is over, for a waiter and for the next that asks, " +
		"and not before.",
	check: func(r *fixture) {
		b := r.client()

		key := r.key() // somebody waits
		g := r.mustLockShort(r.client(), key)
		w := r.startWait(b, key)
		next := r.waitGranted(w, r.ttl+r.slack, "behind a holder that died")
		r.wantNotEarly(w.at, ends(g), "a waiter got the lock")
		r.mustRelease(b, next)

		key = r.key() // nobody waits, somebody asks now and then
		dead := r.client()
		g = r.mustLockShort(dead, key)
		_ = dead.Close()
		got := r.until(r.ttl+r.slack, func() bool {
			var err error
			next, err = r.tryLock(b, key)
			return err == nil
		})
		at := time.Now()
		if !got {
			r.Fatalf("the lock of a holder that died is not free after %v", r.ttl+r.slack)
		}
		r.wantNotEarly(at, ends(g), "one that asked got the lock")
		r.mustRelease(b, next)

		key = r.key() // nobody asks at all
		r.mustLockShort(r.client(), key)
		r.waitFree(b, key, r.ttl+r.slack)
	},
}, {
	Name:     "ExpiryIsPerGrant",
	Sentence: "A grant lives by its own TTL, whatever others the same client holds or asks for.",
	check: func(r *fixture) {
		a, b := r.clients()
		short, long := r.key(), r.key()
		g := r.mustLock(a, long)
		r.mustLockShort(a, short)
		r.waitFree(b, short, r.ttl+r.slack)
		r.wantHeld(a, g, "another grant of the client has run out")
		r.wantHeldByOther(b, long, "another grant of the holder's client has run out")
		r.mustRelease(a, g)
	},
}}

// wantNotEarly compares the moment at which a grant was seen to have ended, which is
// later than its end on the server, with the end that its holder reckons with.
// So it errs on neither side of a slow machine.
func (r *fixture) wantNotEarly(seen, end time.Time, what string) {
	if early := end.Sub(seen); early > 0 {
		r.Errorf("%s %v before the holder's lease had ended", what, early)
	}
}
