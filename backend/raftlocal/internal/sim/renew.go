package sim

import (
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// renewLater renews in a third of the TTL, whether it holds or waits.
func (t *try) renewLater() {
	c := t.k.c
	c.then(c.clock.real(t.ttl/3), func() {
		if t.over {
			return
		}
		if t.renewal != nil && !t.renewal.Over() {
			// The one before is still under way. Its answer would say less than a new one's.
			if c.w.rng.IntN(2) == 0 {
				c.session.Cancel(&t.renewal.Call)
			} else {
				t.renewLater()
				return
			}
		}
		t.renew()
		t.renewLater()
	})
}

// renew asks for more time, for others of this client as well.
func (t *try) renew() {
	c := t.k.c
	all := []*try{t}
	if c.w.plan.gathered {
		for _, o := range c.attempts {
			if o != t && !o.over && o.number != 0 && len(all) < command.MaxClaims {
				all = append(all, o)
			}
		}
	}
	cmd := command.Command{Op: command.Renew}
	for _, o := range all {
		cmd.Claims = append(cmd.Claims, o.number)
	}
	sent := c.local()
	var k *call
	k = c.do(cmd, func(r command.Reply, known bool) {
		if !known {
			c.w.unknown++
			return
		}
		if len(r.Claims) != len(all) {
			c.w.fail("a renewal of %d claims was answered %+v", len(all), r)
			return
		}
		for i, o := range all {
			o.renewed(r.Claims[i], sent, k.Times)
		}
	})
	t.renewal = k
}

func (t *try) renewed(r command.Claim, sent time.Duration, times int) {
	w := t.k.c.w
	switch {
	case t.over:
	case r.Number != t.number:
		w.fail("%s renewed the claim %d and was answered of %d", t.name, t.number, r.Number)
	case r.Code == command.Granted:
		t.asked = max(t.asked, sent)
		w.renewals++
		t.granted(r.Token)
	case r.Code == command.Waiting:
		if t.token != 0 {
			if times == 1 {
				w.fail("%s holds %s, and its renewal says that it waits", t.name, t.key)
			}
			return // the answer to an earlier copy, as it was then
		}
		t.asked = max(t.asked, sent)
	case r.Code == command.NotHeld:
		w.promises.refused(t.attempt, "a renewal says that it does not")
		w.trace.line("%s has lost %s: not held", t.name, t.key)
		w.gone++
		t.lost()
	default:
		w.fail("%s: renewal was answered %+v", t.name, r)
	}
}
