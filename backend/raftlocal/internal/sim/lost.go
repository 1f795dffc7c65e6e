package sim

import (
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
)

// losses are the directories that were lost, of which a cluster stands one at a time: until it
// was replaced, no other may be.
type losses struct {
	lost    *host             // what is in the place of one that was lost, and not in the cluster yet
	ever    bool              // one was lost in this world
	records map[uint64]uint64 // the hash of what each has begun with, by id
	voters  int               // in the configuration that was applied last
	joint   bool              // that was in the middle of a change
	noted   uint64            // its index
	gaveUp  bool              // a change may be in some log yet that nobody waits for
}

// noteVoters notes who votes after an entry.
func (w *world) noteVoters(h *host, index uint64) {
	if index <= w.noted {
		return
	}
	w.noted, w.voters, w.joint = index, 0, false
	for _, p := range h.member.Status().Members {
		if p.Voter {
			w.voters++
		}
		w.joint = w.joint || p.Leaving
	}
}

// spare reports whether the cluster stands the loss of a directory now.
func (w *world) spare(h *host) bool {
	switch {
	case w.quiescent || h.retired || w.lost != nil && w.lost != h:
		return false
	case len(w.records) == 0:
		return true // nobody has begun
	}
	return w.voters > 2 && !w.joint && !w.changing && !w.gaveUp
}

// lose ends a member, and its directory is gone. It is started again with an empty one: as it was,
// or as one that is to join.
func (h *host) lose(off time.Duration, join bool) {
	w := h.w
	if !w.spare(h) {
		return
	}
	n := h.wipe(join)
	w.lost, w.ever = n, true
	w.lostDirectories++
	w.after(off, n.start)
	w.after(off+w.some(0, 2*time.Second), func() { w.replace(n) })
}

// wipe puts a machine with an empty disk into the place of another.
func (h *host) wipe(join bool) *host {
	w := h.w
	w.trace.note('w', uint64(h.place))
	w.trace.line("%s has lost its directory", h)
	if h.lives() {
		h.end("its directory is gone")
	}
	h.retired = true
	return w.newHostAt(h.place, h.join || join)
}

// begun reports whether there is a cluster: entries, or somebody who has begun.
func (w *world) begun() bool {
	return w.committedLog.last() > 0 || slices.ContainsFunc(w.hosts, func(h *host) bool { return w.records[h.self.ID] != 0 })
}

// replace has a member that was lost replaced by what is in its place, when that waits to be.
func (w *world) replace(n *host) {
	if w.lost != n {
		return
	}
	if n.join && !w.begun() {
		// The others say that they wait for it to found the cluster with them.
		if n.lives() {
			n.kill("started again, to found")
		}
		n.join = false
		w.after(w.some(0, 300*time.Millisecond), n.start)
	}
	if l := w.leader(); l != nil && n.up() && n.join {
		l.input(l.life, func() {
			if w.lost != n {
				return
			}
			do := w.changeFor(wish{add: []int{n.place}}, l.member.Members())
			if done(l.member, do) {
				w.lost = nil
				w.changes++
				w.trace.line("%s is replaced", n)
				return
			}
			if n.asked++; n.asked%12 == 0 {
				l.member.Abandon() // it may be for a directory that is lost, too
			}
			if err := l.member.Change(do); err != nil {
				w.trace.line("replacing %s: %v", n, err)
			}
		})
	}
	w.after(w.some(200*time.Millisecond, 600*time.Millisecond), func() { w.replace(n) })
}

// loseBeside is a cluster that keeps two of three disks, and of these the leader is down: whoever
// lags and the one that was lost must not be a majority.
func (w *world) loseBeside() {
	leader := w.leader()
	if leader == nil {
		return
	}
	lags := w.another(leader)
	lost := w.another(leader, lags)
	if lost == nil || !w.spare(lost) {
		return
	}
	mend := w.network.sever(w.ways(lags))
	w.after(w.some(200*time.Millisecond, 1500*time.Millisecond), func() {
		if w.quiescent {
			return
		}
		mend()
		leader.powerCut(w.some(time.Second, 4*time.Second))
		lost.lose(w.some(0, 300*time.Millisecond), w.rng.IntN(2) == 0)
	})
}

// ways are all to and from a host of other hosts.
func (w *world) ways(h *host) (all []way) {
	for _, other := range w.hosts {
		if other != h {
			all = append(all, way{h.place, other.place}, way{other.place, h.place})
		}
	}
	return all
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
		w.roughStart(2 + w.rng.IntN(8))
	}
}

// roughStart lets so many things go wrong in the next moments, if the cluster has not begun.
func (w *world) roughStart(n int) {
	for range n {
		w.after(w.some(0, 2500*time.Millisecond), func() {
			h := w.hosts[w.rng.IntN(len(w.hosts))]
			if w.quiescent || h.retired || len(w.records) == len(w.initialMembers) {
				return
			}
			switch w.rng.IntN(5) {
			case 0:
				h.powerCut(w.some(0, time.Second))
			case 1:
				h.drive.doom = 1 + w.rng.IntN(12)
			case 2:
				w.severFor(w.ways(h), w.some(100*time.Millisecond, time.Second))
			default:
				h.lose(w.some(0, time.Second), w.rng.IntN(4) == 0)
			}
		})
	}
}

// beginAgain is what an operator does where the initial members say that they can never begin.
func (w *world) beginAgain() {
	if w.begun() {
		return // the others will hear of it
	}
	if !w.ever {
		w.fail("nobody can begin, and no directory was lost")
	}
	w.trace.line("all begin again with empty directories")
	w.lost = nil
	clear(w.records)
	for _, h := range w.hosts {
		n := h.wipe(false)
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
