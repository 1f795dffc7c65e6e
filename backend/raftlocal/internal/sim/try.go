package sim

import (
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
)

// try is one attempt of a worker, as a driver would make it.
type try struct {
	*attempt
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

func (t *try) acquire(cmd command.Command) {
	c := t.k.c
	w := c.w
	asked := w.now
	t.waiting = c.do(cmd, func(r command.Reply, known bool) {
		switch {
		case t.over:
		case !known:
			// It may have been carried out. To ask again, as the same owner, is to find out; but
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
			w.denied[t.name] = true
			if !w.truth.possible(t.key, asked, func(v version) bool { return v.owner != "" && (v.owner != t.name || v.waiters > 0) }) {
				w.fail("%s was told that %s is held, and at no time since it asked was it", t.name, t.key)
			}
			t.finish()
		default:
			w.fail("%s: acquire was answered %+v", t.name, r)
		}
	})
}

// pushed is news of its claim.
func (t *try) pushed(p command.Claim) {
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
		w.promises.end(t.attempt)
		t.lost()
	case command.Expired:
		w.promises.refused(t.attempt, "it is said to have expired")
		t.lost()
	default:
		w.fail("%s was pushed %+v", t.name, p)
	}
}

// lost ends what the client does not hold, or cannot be sure of.
func (t *try) lost() {
	t.k.c.w.promises.end(t.attempt)
	if t.k.final || t.k.c.w.rng.IntN(2) == 0 {
		t.release()
		return
	}
	t.finish() // what it does not release, its TTL does
}

// cancel gives up an attempt that waits, or is about to.
func (t *try) cancel() {
	if t.over || t.token != 0 {
		return
	}
	t.k.c.w.trace.line("%s gives up", t.name)
	t.k.c.w.cancels++
	if t.k.c.session.Cancel(&t.waiting.Call) {
		t.k.c.w.denied[t.name] = true
	}
	t.release()
}

// leave lets go of what it holds.
func (t *try) leave() {
	if t.over {
		return
	}
	if t.k.c.w.rng.IntN(12) == 0 && !t.k.final {
		// It forgets to.
		t.k.c.w.promises.end(t.attempt)
		t.finish()
		return
	}
	t.release()
}

// release ends it at the server. From the call on nobody counts on it.
func (t *try) release() {
	c := t.k.c
	w := c.w
	until := t.until
	held := t.holds(w.now)
	w.promises.end(t.attempt)
	cmd := command.Command{Op: command.Release, Key: t.key, Owner: t.name}
	if t.number != 0 && w.rng.IntN(2) == 0 {
		cmd.Claims = []uint64{t.number}
	}
	t.over = true
	c.do(cmd, func(r command.Reply, known bool) {
		// Whatever was asked for was asked before, and waits for no answer any more.
		w.denied[t.name] = w.denied[t.name] || known
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
func (t *try) finish() {
	c := t.k.c
	t.over = true
	if t.k.final && t.token == 0 {
		t.k.final = false // it has to get it, by another attempt
	}
	c.attempts = without(c.attempts, t)
	t.k.again()
}

func without(all []*try, t *try) []*try {
	for i, o := range all {
		if o == t {
			return append(all[:i:i], all[i+1:]...)
		}
	}
	return all
}
