package sim

import (
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// attempt is one attempt of a worker, as a driver would make it.
type attempt struct {
	*promise
	k       *worker
	key     string
	ttl     time.Duration
	number  uint64        // of the claim
	sent    time.Duration // when it was first asked for, by the client's clock
	asked   time.Duration // when what was last confirmed was sent
	renewal *call
	waiting *call
	over    bool
}

func (t *attempt) acquire(cmd command.Command) {
	c := t.k.c
	w := c.w
	asked := w.now
	t.waiting = c.do(cmd, func(r command.Reply, known bool) {
		switch {
		case t.over:
		case !known:
			// It may have been carried out. To ask again, as the same attempt, is to find out; but
			// that extends nothing, so its time still counts from when it was first sent.
			w.unknown++
			if w.rng.IntN(2) == 0 || t.k.final {
				t.acquire(cmd)
				return
			}
			t.release()
		case r.Code == command.Granted:
			t.number, t.asked = r.Number, t.sent
			t.granted(r.Token)
			t.renewLater()
		case r.Code == command.Waiting && cmd.Wait:
			t.number, t.asked = r.Number, t.sent
			t.renewLater()
		case r.Code == command.Held && !cmd.Wait:
			w.held++
			w.referee.denied[t.name] = true
			if !w.committedLog.possible(t.key, asked, func(v version) bool { return v.attemptID != "" && (v.attemptID != t.name || v.waiters > 0) }) {
				w.fail("%s was told that %s is held, and at no time since it asked was it", t.name, t.key)
			}
			t.finish()
		default:
			w.fail("%s: acquire was answered %+v", t.name, r)
		}
	})
}

// pushed records a push about its claim.
func (t *attempt) pushed(p command.Claim) {
	w := t.k.c.w
	switch p.Code {
	case command.Granted:
		w.pushes++
		if t.token == 0 {
			t.granted(p.Token)
		}
	case command.Evicted:
		if !w.promises.evicted[p.Token] && !w.promises.targets[t.name] {
			w.fail("%s is told that it is evicted from %s, and nobody has asked for that", t.name, t.key)
		}
		w.promises.end(t.promise)
		t.lost()
	case command.Expired:
		w.promises.refused(t.promise, "it is said to have expired")
		t.lost()
	default:
		w.fail("%s was pushed %+v", t.name, p)
	}
}

// lost ends what the client does not hold, or cannot be sure of.
func (t *attempt) lost() {
	t.k.c.w.promises.end(t.promise)
	if t.k.final || t.k.c.w.rng.IntN(2) == 0 {
		t.release()
		return
	}
	t.finish() // what it does not release, its TTL does
}

// cancel gives up an attempt that waits, or is about to.
func (t *attempt) cancel() {
	if t.over || t.token != 0 {
		return
	}
	t.k.c.w.trace.line("%s gives up", t.name)
	t.k.c.w.cancels++
	if t.k.c.session.Cancel(&t.waiting.Call) {
		t.k.c.w.referee.denied[t.name] = true
	}
	t.release()
}

// leave lets go of what it holds.
func (t *attempt) leave() {
	if t.over {
		return
	}
	if t.k.c.w.rng.IntN(12) == 0 && !t.k.final {
		// It forgets to.
		t.k.c.w.promises.end(t.promise)
		t.finish()
		return
	}
	t.release()
}

// release ends it at the server. From the call on nobody counts on it.
func (t *attempt) release() {
	c := t.k.c
	w := c.w
	until := t.until
	held := t.holds(w.now)
	w.promises.end(t.promise)
	cmd := command.Command{Op: command.Release, Key: t.key, AttemptID: t.name}
	if t.number != 0 && w.rng.IntN(2) == 0 {
		cmd.Claims = []uint64{t.number}
	}
	t.over = true
	c.do(cmd, func(r command.Reply, known bool) {
		// Whatever was asked for was asked before, and waits for no answer any more.
		w.referee.denied[t.name] = w.referee.denied[t.name] || known
		switch {
		case !known:
			w.unknown++
		case r.Code == command.NotHeld:
			if held && w.now < until && !w.promises.evicted[t.token] && !w.promises.targets[t.name] {
				w.fail("%s released %s and was told that it does not hold it, %v before what it was promised", t.name, t.key, until-w.now)
			}
		case r.Code == command.OK:
			if t.token != 0 {
				w.releases++
			}
		default:
			w.fail("%s: release was answered %+v", t.name, r)
		}
		t.finish()
	})
}

// finish goes on to the next attempt.
func (t *attempt) finish() {
	c := t.k.c
	t.over = true
	if t.k.final && t.token == 0 {
		t.k.final = false // it has to get it, by another attempt
	}
	c.attempts = without(c.attempts, t)
	t.k.again()
}

func without(all []*attempt, t *attempt) []*attempt {
	for i, o := range all {
		if o == t {
			return append(all[:i:i], all[i+1:]...)
		}
	}
	return all
}

// renewLater renews in a third of the TTL, whether it holds or waits.
func (t *attempt) renewLater() {
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
func (t *attempt) renew() {
	c := t.k.c
	all := []*attempt{t}
	if c.w.scenario.gathered {
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

func (t *attempt) renewed(r command.Claim, sent time.Duration, times int) {
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
		w.promises.refused(t.promise, "a renewal says that it does not")
		w.trace.line("%s has lost %s: not held", t.name, t.key)
		w.gone++
		t.lost()
	default:
		w.fail("%s: renewal was answered %+v", t.name, r)
	}
}
