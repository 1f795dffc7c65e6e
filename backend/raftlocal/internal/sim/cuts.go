package sim

import (
	"time"
)

const (
	both = iota
	onlyIn
	onlyOut
)

// part cuts some hosts off from all others, and some clients with them or from them.
func (w *world) part(some []*host, how int) {
	inside := map[int]bool{}
	for _, h := range some {
		inside[h.place] = true
	}
	for _, c := range w.clients {
		inside[c.place] = w.rng.IntN(2) == 0
	}
	var ways []way
	for a := range w.places {
		for b := range w.places {
			if inside[a] && !inside[b] {
				if how != onlyIn {
					ways = append(ways, way{a, b})
				}
				if how != onlyOut {
					ways = append(ways, way{b, a})
				}
			}
		}
	}
	w.sever(ways)
	// Some clients notice at once that they are on the other side.
	for _, c := range w.clients {
		if c.line != nil && inside[c.place] != inside[c.line.host.place] && w.rng.IntN(2) == 0 {
			c.hangUp()
			c.connect()
		}
	}
}

// ring leaves each host only its neighbours; of three, two do not see each other.
func (w *world) ring() {
	n := len(w.hosts)
	start := w.rng.IntN(n)
	var ways []way
	for i := range n {
		for j := range n {
			if d := (i - j + n) % n; d > 1 && d < n-1 || n == 3 && i != j && i != start && j != start {
				ways = append(ways, way{w.hosts[i].place, w.hosts[j].place})
			}
		}
	}
	w.sever(ways)
}

func (w *world) sever(ways []way) { w.severFor(ways, w.some(200*time.Millisecond, 4*time.Second)) }

func (w *world) severFor(ways []way, d time.Duration) {
	mend := w.network.sever(ways)
	w.after(d, func() {
		if !w.calm {
			mend()
		}
	})
}
