package sim

import (
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
)

// losses are the directories that were lost, of which a cluster stands one at a time: until it
// was replaced, no other may be.
type losses struct {
	w       *world
	lost    *host             // what is in the place of one that was lost, and not in the cluster yet
	ever    bool              // one was lost in this world
	records map[uint64]uint64 // the hash of what each has begun with, by id
	voters  int               // in the configuration that was applied last
	joint   bool              // that was in the middle of a change
	noted   uint64            // its index
}

// noteVoters notes who votes after an entry.
func (l *losses) noteVoters(h *host, index uint64) {
	if index <= l.noted {
		return
	}
	l.noted, l.voters, l.joint = index, 0, false
	for _, p := range h.member.Status().Members {
		if p.Voter {
			l.voters++
		}
		l.joint = l.joint || p.Leaving
	}
}

// spare reports whether the cluster stands the loss of a directory now.
func (l *losses) spare(h *host) bool {
	switch {
	case l.w.quiescent || h.retired || l.lost != nil && l.lost != h:
		return false
	case len(l.records) == 0:
		return true // nobody has begun
	}
	return l.voters > 2 && !l.joint && !l.w.operator.changing && !l.w.operator.gaveUp
}

// lose ends a member, and its directory is gone. It is started again with an empty one: as it was,
// or as one that is to join.
func (l *losses) lose(h *host, off time.Duration, join bool) {
	w := l.w
	if !l.spare(h) {
		return
	}
	n := l.wipe(h, join)
	l.lost, l.ever = n, true
	w.lostDirectories++
	w.after(off, n.start)
	w.after(off+w.some(0, 2*time.Second), func() { l.replace(n) })
}

// wipe puts a machine with an empty disk into the place of another.
func (l *losses) wipe(h *host, join bool) *host {
	w := l.w
	w.trace.note('w', uint64(h.place))
	w.trace.line("%s has lost its directory", h)
	if h.lives() {
		h.end("its directory is gone")
	}
	h.retired = true
	return w.newHostAt(h.place, h.join || join)
}

// begun reports whether there is a cluster: entries, or somebody who has begun.
func (l *losses) begun() bool {
	w := l.w
	return w.committedLog.last() > 0 || slices.ContainsFunc(w.hosts, func(h *host) bool { return l.records[h.self.ID] != 0 })
}

// replace has a member that was lost replaced by what is in its place, when that waits to be.
func (l *losses) replace(n *host) {
	w := l.w
	if l.lost != n {
		return
	}
	if n.join && !l.begun() {
		// The others say that they wait for it to found the cluster with them.
		if n.lives() {
			n.kill("started again, to found")
		}
		n.join = false
		w.after(w.some(0, 300*time.Millisecond), n.start)
	}
	if h := w.leader(); h != nil && n.up() && n.join {
		h.input(h.life, func() {
			if l.lost != n {
				return
			}
			do := w.operator.changeFor(wish{add: []int{n.place}}, h.member.Members())
			if done(h.member, do) {
				l.lost = nil
				w.changes++
				w.trace.line("%s is replaced", n)
				return
			}
			if n.asked++; n.asked%12 == 0 {
				h.member.Abandon() // it may be for a directory that is lost, too
			}
			if err := h.member.Change(do); err != nil {
				w.trace.line("replacing %s: %v", n, err)
			}
		})
	}
	w.after(w.some(200*time.Millisecond, 600*time.Millisecond), func() { l.replace(n) })
}

// loseBeside is a cluster that keeps two of three disks, and of these the leader is down: whoever
// lags and the one that was lost must not be a majority.
func (l *losses) loseBeside() {
	w := l.w
	leader := w.leader()
	if leader == nil {
		return
	}
	lags := w.another(leader)
	lost := w.another(leader, lags)
	if lost == nil || !l.spare(lost) {
		return
	}
	mend := w.network.sever(w.network.ways(lags))
	w.after(w.some(200*time.Millisecond, 1500*time.Millisecond), func() {
		if w.quiescent {
			return
		}
		mend()
		leader.powerCut(w.some(time.Second, 4*time.Second))
		l.lose(lost, w.some(0, 300*time.Millisecond), w.rng.IntN(2) == 0)
	})
}

// firstStart starts everybody: about at once, or, where that is what a run is about, in any order,
// with crashes and losses before the cluster has begun.
func (w *world) firstStart() {
	most := 300 * time.Millisecond
	rough := slices.ContainsFunc(w.scenario.faults, func(f fault) bool { return f.name == "first start" })
	if rough {
		most = 2 * time.Second
	}
	for _, h := range w.hosts {
		w.after(w.some(0, most), h.start)
	}
	if rough {
		w.losses.roughStart(2 + w.rng.IntN(8))
	}
}

// roughStart lets so many things go wrong in the next moments, if the cluster has not begun.
func (l *losses) roughStart(n int) {
	w := l.w
	for range n {
		w.after(w.some(0, 2500*time.Millisecond), func() {
			h := w.hosts[w.rng.IntN(len(w.hosts))]
			if w.quiescent || h.retired || len(l.records) == len(w.initialMembers) {
				return
			}
			switch w.rng.IntN(5) {
			case 0:
				h.powerCut(w.some(0, time.Second))
			case 1:
				h.drive.doom = 1 + w.rng.IntN(12)
			case 2:
				w.network.cutOffFor(w.network.ways(h), w.some(100*time.Millisecond, time.Second))
			default:
				l.lose(h, w.some(0, time.Second), w.rng.IntN(4) == 0)
			}
		})
	}
}

// beginAgain is what an operator does where the initial members say that they can never begin.
func (l *losses) beginAgain() {
	w := l.w
	if l.begun() {
		return // the others will hear of it
	}
	if !l.ever {
		w.fail("nobody can begin, and no directory was lost")
	}
	w.trace.line("all begin again with empty directories")
	l.lost = nil
	clear(l.records)
	for _, h := range w.hosts {
		n := l.wipe(h, false)
		n.join = false
		w.after(w.some(0, 300*time.Millisecond), n.start)
	}
}

// done reports whether a change is in force.
func done(m *member.Member, c member.Change) bool {
	s := m.Status()
	if !s.Serving || s.Change != "" {
		return false
	}
	voters := map[uint64]bool{}
	for _, p := range s.Members {
		voters[p.ID] = p.Voter
	}
	for _, a := range c.Add {
		if !voters[a.ID] {
			return false
		}
	}
	for _, id := range c.Remove {
		if _, there := voters[id]; there {
			return false
		}
	}
	return true
}
