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

// learn begins to ask the Sentinels of which others have told, and ends what leads to those that nobody knows any more, or
// that are reached by an address of the configuration, too.
func (w *Watch) learn(r *round) {
	var told []member
	direct := make(map[string]bool) // ids of those that have answered at addresses of the configuration
	for _, a := range r.answers {
		if slices.Contains(w.conf.Addrs, a.from) {
			direct[a.id] = true
		} else if a.err == nil {
			told = append(told, member{a.id, a.from}) // nobody tells of itself
		}
		told = append(told, a.others...)
	}
	if !slices.ContainsFunc(r.answers, func(a answer) bool { return len(a.others) > 0 }) {
		return // they were not asked, or have not answered
	}
	told = slices.DeleteFunc(told, func(m member) bool { return direct[m.id] || slices.Contains(w.conf.Addrs, m.addr) })

	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	kept := w.peers[:0:0]
	for _, p := range w.peers {
		if p.id == "" || slices.Contains(told, member{p.id, p.addr}) {
			kept = append(kept, p)
		} else {
			w.running.Go(p.close)
		}
	}
	for _, m := range told {
		if !slices.ContainsFunc(kept, func(p *peer) bool { return p.id == m.id }) {
			kept = append(kept, w.newPeer(m.addr, m.id))
		}
	}
	w.peers = kept
}
