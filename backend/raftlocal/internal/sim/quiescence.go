package sim

import (
	"slices"
	"time"
)

// maxQuiescence is how long the last phase may take: every lease that was forgotten must have
// ended, and each worker had its turn.
const maxQuiescence = 60 * time.Second

// quiesce mends everything. From here on nothing goes wrong, so all must come right: every
// worker that still wants a lock gets one, and when all have had it, nothing is left in the
// memory of the machine.
func (w *world) quiesce() {
	w.trace.line("quiescence")
	w.quiescent = true
	clear(w.network.cut)
	w.network.usual()
	for _, l := range w.conns {
		l.toHost.stalled, l.toClient.stalled = 0, 0
	}
	for _, c := range w.clients {
		c.paused, c.waking = w.now, false
		c.wake()
	}
	for _, h := range w.hosts {
		h.paused = w.now
		*h.drive = drive{w: w, spent: h.drive.spent, erred: h.drive.erred}
		h.start()
	}
	w.await(w.now+maxQuiescence, func() bool { return w.working == 0 && !w.operator.changing && w.losses.lost == nil && w.born() }, w.quiet, func() {
		w.fail("%d workers still want a lock after %v of calm (changing members: %v, lost: %v)", w.working, maxQuiescence, w.operator.changing, w.losses.lost)
	})
}

// born tells that no client is between two lives.
func (w *world) born() bool { return w.unborn == 0 }

// responsive tells that no member is still in a write that began when its disk was slow.
func (w *world) responsive() bool {
	return !slices.ContainsFunc(w.hosts, func(h *host) bool { return h.up() && h.free > w.now })
}

// await looks now and then whether something has come true.
func (w *world) await(until time.Duration, isTrue func() bool, then, never func()) {
	switch {
	case isTrue():
		then()
	case w.now > until:
		never()
	default:
		w.after(100*time.Millisecond, func() { w.await(until, isTrue, then, never) })
	}
}

// quiet is when nobody wants anything any more: what is in memory must end by itself.
func (w *world) quiet() {
	w.trace.line("quiet")
	w.await(w.now+w.scenario.session+25*time.Second, func() bool {
		h := w.leader()
		if h == nil {
			return false
		}
		s := h.member.Status().Machine
		return s.Claims == 0 && s.Sessions == 0 && w.responsive()
	}, w.idle, func() {
		if h := w.leader(); h != nil {
			w.fail("something stays in memory for ever: %+v", h.member.Status().Machine)
			return
		}
		w.fail("nobody leads after %v of calm", w.now-w.scenario.duration)
	})
}

// idle is when there is nothing to do: nothing may be written.
func (w *world) idle() {
	// What is on its way arrives.
	w.after(time.Second, func() {
		last, terms := w.committedLog.last(), len(w.referee.leaders)
		w.after(time.Second, func() {
			if w.committedLog.last() != last && len(w.referee.leaders) == terms {
				w.fail("an idle cluster has written %d entries", w.committedLog.last()-last)
			}
			w.compare()
			w.over = true
		})
	})
}

// compare looks at all members of the cluster side by side: each has all, and the same.
func (w *world) compare() {
	leader := w.leader()
	if leader == nil {
		w.fail("nobody leads at the end")
		return
	}
	last := w.committedLog.last()
	for _, p := range leader.member.Members() {
		h := w.host(p.ID)
		if !h.up() {
			w.fail("%s is not up at the end", h)
			continue
		}
		s := h.member.Status()
		if s.Applied != last {
			w.fail("%s has applied %d entries at the end, and there are %d", h, s.Applied, last)
		}
		w.committedLog.state(h.String(), s.Applied, digest(h.member.Backup()))
		if s.Machine.Keys != 0 {
			w.fail("%s remembers %d keys that nobody uses", h, s.Machine.Keys)
		}
	}
}
