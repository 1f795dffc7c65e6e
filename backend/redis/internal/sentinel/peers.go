package sentinel

import (
	"slices"
	"time"
)

// listEvery is how often the Sentinels are asked which others they know.
const listEvery = 30 * time.Second

// least is how many Sentinels there are at least: those that have answered at the addresses of the configuration.
// They may not know each other, and then each would be the majority of itself. It needs w.mu.
func (w *Watch) least() int {
	ids := make(map[string]struct{})
	for _, p := range w.peers {
		if p.id == "" && p.heard != "" {
			ids[p.heard] = struct{}{}
		}
	}
	return len(ids)
}

// learn begins to ask the Sentinels of which others have told, and ends what leads to those of which nobody tells any
// more, or which are reached by an address of the configuration, too. It reports whether there are new ones.
func (w *Watch) learn(r *round) (more bool) {
	var lists []answer              // that tell of others
	direct := make(map[string]bool) // ids of those that have answered at addresses of the configuration
	for _, a := range r.answers {
		if len(a.others) > 0 {
			lists = append(lists, a)
		}
		if slices.Contains(w.conf.Addrs, a.from) {
			direct[a.id] = true
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(lists) == 0 || w.closed {
		return false
	}
	kept := w.peers[:0:0]
	for _, p := range w.peers {
		if p.id == "" || !direct[p.id] && isTold(p, lists) {
			kept = append(kept, p)
		} else {
			w.running.Go(p.close)
		}
	}
	for _, list := range lists {
		for _, m := range list.others {
			known := direct[m.id] || slices.ContainsFunc(kept, func(p *peer) bool { return p.id == m.id || p.addr == m.addr })
			if !known {
				kept, more = append(kept, w.newPeer(m.addr, m.id)), true
			}
		}
	}
	w.peers = kept
	return more
}

// isTold reports whether a Sentinel is in the list of another. Nobody tells of itself: if there is no other list, it is.
func isTold(p *peer, lists []answer) bool {
	alone := true
	for _, list := range lists {
		if list.id == p.id {
			continue
		}
		alone = false
		if slices.Contains(list.others, member{p.id, p.addr}) {
			return true
		}
	}
	return alone
}
