package drivertest

import (
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
