package sim

import (
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// network carries messages between places: members and clients, by number. It loses, delays,
// repeats and reorders those between members, as several connections do that break, and cuts
// one direction at a time.
type network struct {
	w *world
	// cut[a][b]: nothing gets from a to b.
	cut map[way]int
	// Of messages between members.
	loss, twice, late float64
	slow              time.Duration // the most that a message takes, if it is not late
}

type way struct{ from, to int }

// sever cuts ways and returns what mends them. Cuts add up.
func (n *network) sever(ways []way) (mend func()) {
	for _, x := range ways {
		n.cut[x]++
	}
	return func() {
		for _, x := range ways {
			if n.cut[x]--; n.cut[x] == 0 {
				delete(n.cut, x)
			}
		}
	}
}

func (n *network) open(from, to int) bool { return n.cut[way{from, to}] == 0 }

// usual makes it as good as it is meant to be.
func (n *network) usual() {
	p := &n.w.plan
	n.loss, n.twice, n.late, n.slow = p.loss, p.twice, p.late, p.slow
	if n.w.calm {
		n.loss, n.late = 0, 0
	}
}

// latency is how long one packet takes.
func (n *network) latency() time.Duration {
	return 50*time.Microsecond + time.Duration(n.w.rng.Int64N(int64(n.slow)))
}

// send carries a message of raft to another member, perhaps.
func (n *network) send(from *host, m *raftpb.Message) {
	w := n.w
	to := w.host(m.GetTo())
	snap := m.GetType() == raftpb.MsgSnap
	fate := w.rng.Float64()
	if to == nil || to.retired || !n.open(from.place, to.place) || fate < n.loss {
		// A sender learns of a broken connection, now and then.
		if snap || w.rng.IntN(4) == 0 {
			life := from.life
			w.after(n.latency()*4, func() { from.input(life, func() { from.undelivered(m.GetTo(), snap) }) })
		}
		return
	}
	data, err := proto.Marshal(m)
	if err != nil {
		w.fail("a message cannot be encoded: %v", err)
		return
	}
	copies := 1
	if fate > 1-n.twice {
		copies = 2
	}
	for range copies {
		d := n.latency()
		if w.rng.Float64() < n.late {
			d += time.Duration(w.rng.Int64N(int64(3 * time.Second)))
		}
		life := from.life
		w.after(d, func() {
			// Whoever has lost its directory is another one at the same place.
			arrived := to.up() && n.open(from.place, to.place)
			if arrived {
				w.trace.note('m', uint64(from.place), uint64(to.place), uint64(m.GetType()), digest(data))
				to.input(to.life, func() { to.receive(data) })
			}
			if snap {
				w.snapshots++
				w.after(n.latency(), func() {
					from.input(life, func() {
						if arrived {
							from.member.ReportSnapshot(m.GetTo(), true)
						} else {
							from.undelivered(m.GetTo(), true)
						}
					})
				})
			}
		})
	}
}
