package attempts

import (
	"errors"
	"slices"
	"time"

	"github.com/fencelock/fencelock/driver"
	"github.com/fencelock/fencelock/fencing"
)

// core is the caller of the backend for one attempt.
type core struct {
	id       ID
	wait     bool // otherwise it takes the lock only if it is free
	asked    bool
	retry    bool // a call has ended without an answer
	grant    *driver.Grant
	releases int  // calls of Release
	released bool // one of them was answered
}

// call is a call of Acquire.
type call struct {
	core    *core
	a       *toy
	made    int       // while it was not released
	request *exchange // nil if it waits
	number  int       // of the claim that is to be handed out
	start   time.Time
}

// The core.

func (w *world) ask(c *core) {
	// The core asks no more after a Release; but a call that was made before may come late. If none was under
	// way, and the attempt was held, there is no such call.
	if c.releases > 0 && !w.outcast(c.id) {
		return
	}
	a, err := w.enter(driver.Request{Key: c.id.Key, AttemptID: c.id.AttemptID, TTL: ttl, Retry: c.retry, Lost: func(error) {}})
	if c.releases > 0 && err == nil && w.underWay(a) == 1 {
		wrong(staysOut, "a call of %v begins", a)
	}
	c.asked = true
	if err == nil {
		k := &call{core: c, a: a, made: c.releases}
		w.calls = append(w.calls, k)
		w.create(k)
	}
}

func (w *world) letGo(c *core) {
	g := driver.Grant{Key: c.id.Key, AttemptID: c.id.AttemptID}
	if c.grant != nil && w.rnd.IntN(2) == 0 {
		g = *c.grant
	}
	a, late := w.release(g)
	c.releases++
	if !late {
		w.nothingComes(c.id)
	}
	switch {
	case a == nil:
		w.remove(c.id, 0, late, func(ok bool) { c.released = c.released || ok })
	case a.Phase() == Gone && !late:
		c.released = true
	default:
		a.deleting = true
		w.remove(c.id, a.number, late, func(ok bool) {
			if a.deleting = false; ok {
				c.released = true
				w.forget(a)
			}
		})
	}
}

// nothingComes checks, once Release has said that no request is late, that none is.
func (w *world) nothingComes(id ID) {
	for _, x := range w.net {
		if m := x.makes; m != nil && m.id == id && x.answer == nil && m.session == w.server.session && m.epoch == w.server.epoch {
			wrong(mayBeLate, "a request of %v is on its way", id)
		}
	}
	for _, k := range w.calls {
		if k.core.id == id && k.a.Phase() < Ending {
			wrong(mayBeLate, "a call of %v is under way", id)
		}
	}
}

func (w *world) renew(c *core) {
	a := c.grant.Handle.(*toy)
	if a.Phase() != Held {
		return
	}
	start, number := w.now, int(c.grant.Token)
	w.send(nil, func() answer {
		return answer{first: w.holds(c.id.Key, number)}
	}, func(ans answer, ok bool) {
		switch {
		case ok && ans.first:
			w.extend(a, start.Add(ttl))
		case ok:
			w.claimGone(a, number)
		}
	})
}

// The backend.

// create asks for the claim of a call's attempt, or again where it is in the queue.
func (w *world) create(k *call) {
	a := k.a
	if err := a.Err(); err != nil {
		w.done(k, err)
		return
	}
	if a.session == 0 {
		a.session = w.session
	}
	a.Sent = true
	a.asked++
	k.start = w.now
	makes := creation{a.ID, a.session, w.epoch}
	k.request = w.send(&makes, func() answer { return w.serveCreate(makes, k.core.wait) }, func(ans answer, ok bool) {
		k.request = nil
		a.asked--
		w.epoch = max(w.epoch, ans.epoch)
		if !ok {
			w.noteLate(a)
			w.done(k, driver.ErrUnavailable)
			return
		}
		a.number = max(a.number, ans.number) // answers of two calls may come in the other order
		a.Sent = a.asked > 0 || a.number > 0 || a.Late
		switch {
		case ans.session > w.session:
			w.sessionGone(ans.session)
			w.create(k) // finds that it is over
		case ans.refused:
			w.create(k)
		case ans.first:
			k.number = ans.number // handed out later
		case ans.number == 0: // another holds it, and nothing was made
			w.done(k, driver.ErrHeld)
		case !k.core.wait: // it came behind another
			w.end(a)
			w.done(k, driver.ErrHeld)
		}
	})
}

// handOut is the last step of Acquire.
func (w *world) handOut(k *call) {
	g, err := w.grant(k.a, fencing.Token(k.number), k.start, ttl)
	if err == nil && k.core.releases > 0 {
		wrong(staysOut, "%v is granted", k.a)
	}
	if err == nil {
		k.core.grant = &g
	} else if k.a.Phase() == Held {
		w.end(k.a) // it was granted a claim that is gone
	}
	w.done(k, err)
}

// cancel is the end of the caller's context.
func (w *world) cancel(k *call) {
	switch {
	case k.request != nil:
		k.request.timeOut()
	default:
		w.done(k, errors.New("cancelled"))
	}
}

func (w *world) done(k *call, err error) {
	w.calls = slices.DeleteFunc(w.calls, func(other *call) bool { return other == k })
	k.core.retry = k.core.retry || errors.Is(err, driver.ErrUnavailable) && k.a.Late
	w.leave(k.a, w.now.Add(2*ttl))
}

// claimGone is what the backend has learned of a claim. If a request is under way it is not certain that
// the attempt has none.
func (w *world) claimGone(a *toy, number int) {
	if a.number != number || a.Phase() == Gone || a.asked > 0 {
		return
	}
	held := a.Phase() == Held
	if told := w.forget(a); told && w.holds(a.Key, number) || held && !told {
		wrong(toldOnce, "the holder of %v, whose claim is there: %v, is told: %v", a, w.holds(a.Key, number), told)
	}
}

func (w *world) sessionGone(next int) {
	if next <= w.session {
		return
	}
	w.session = next
	for a := range w.All() {
		if a.session > 0 && a.session < next {
			w.forget(a)
		}
	}
	for _, a := range w.entries {
		if a.session > 0 && a.session < next && a.Phase() != Gone {
			wrong(allThere, "the loop that forgot others has missed %v", a)
		}
	}
}

// sweep ends what is overdue, and deletes what is ending.
func (w *world) sweep() {
	for a := range w.All() {
		if a.Overdue(w.now) {
			if slices.ContainsFunc(w.calls, func(k *call) bool { return k.a == a }) {
				wrong(overdue, "%v is overdue while a call is under way", a)
			}
			w.end(a)
		}
		if a.Phase() == Ending && !a.deleting {
			a.deleting = true
			w.remove(a.ID, a.number, a.Late || a.Calls() > 0, func(ok bool) {
				if a.deleting = false; ok {
					w.forget(a)
				}
			})
		}
	}
}

// remove deletes the claims of an attempt. If requests are late, it raises the epoch, which keeps them out.
func (w *world) remove(id ID, number int, late bool, heard func(ok bool)) {
	epoch := w.epoch
	w.send(nil, func() answer {
		if late {
			w.server.epoch = max(w.server.epoch, epoch) + 1
		}
		w.drop(id.Key, func(c claim) bool { return c.id == id && (c.number == number || late && c.epoch <= epoch) })
		return answer{epoch: w.server.epoch}
	}, func(ans answer, ok bool) {
		w.epoch = max(w.epoch, ans.epoch)
		heard(ok)
	})
}
