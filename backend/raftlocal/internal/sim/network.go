package sim

import (
	"encoding/binary"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wire"
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
	p := &n.w.scenario
	n.loss, n.twice, n.late, n.slow = p.loss, p.twice, p.late, p.slow
	if n.w.quiescent {
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

const (
	both = iota
	onlyIn
	onlyOut
)

// part cuts some hosts off from all others, and some clients with them or from them.
func (n *network) part(some []*host, how int) {
	w := n.w
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
	n.cutOff(ways)
	// Some clients notice at once that they are on the other side.
	for _, c := range w.clients {
		if c.conn != nil && inside[c.place] != inside[c.conn.host.place] && w.rng.IntN(2) == 0 {
			c.hangUp()
			c.connect()
		}
	}
}

// ring leaves each host only its neighbours; of three, two do not see each other.
func (n *network) ring() {
	w := n.w
	all := len(w.hosts)
	start := w.rng.IntN(all)
	var ways []way
	for i := range all {
		for j := range all {
			if d := (i - j + all) % all; d > 1 && d < all-1 || all == 3 && i != j && i != start && j != start {
				ways = append(ways, way{w.hosts[i].place, w.hosts[j].place})
			}
		}
	}
	n.cutOff(ways)
}

// cutOff cuts ways for a while.
func (n *network) cutOff(ways []way) {
	n.cutOffFor(ways, n.w.some(200*time.Millisecond, 4*time.Second))
}

func (n *network) cutOffFor(ways []way, d time.Duration) {
	mend := n.sever(ways)
	n.w.after(d, func() {
		if !n.w.quiescent {
			mend()
		}
	})
}

// ways are all to and from a host of other hosts.
func (n *network) ways(h *host) (all []way) {
	for _, other := range n.w.hosts {
		if other != h {
			all = append(all, way{h.place, other.place}, way{other.place, h.place})
		}
	}
	return all
}

// packet is whole frames, as they go over a connection.
type packet []byte

// each gives the bodies of the frames.
func (p packet) each(f func(body []byte)) {
	for len(p) > 0 {
		n := binary.BigEndian.Uint32(p)
		f(p[5 : 4+n])
		p = p[4+n:]
	}
}

func encodeCommands(cmds []command.Command) packet { return wire.AppendCommands(nil, cmds) }

func (p packet) commands() (cmds []command.Command) {
	p.each(func(body []byte) {
		var err error
		if cmds, err = wire.ParseCommands(body, cmds); err != nil {
			panic(err)
		}
	})
	return cmds
}

func encodeAnswers(answers []command.Answer, pushes []command.Push) packet {
	return wire.AppendAnswers(nil, answers, pushes)
}

func (p packet) answers() (answers []command.Answer, pushes []command.Push) {
	p.each(func(body []byte) {
		var err error
		if answers, pushes, err = wire.ParseAnswers(body, answers, pushes); err != nil {
			panic(err)
		}
	})
	return answers, pushes
}
