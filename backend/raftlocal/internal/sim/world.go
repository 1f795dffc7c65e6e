package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/machine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/wal"
)

// world is one run: members, clients, and what is between them.
type world struct {
	schedule
	rng      *rand.Rand
	plan     plan
	trace    *trace
	network  *network
	truth    *truth
	promises *promises

	hosts    []*host
	founding []machine.Member
	clients  []*client
	keys     []string
	places   int
	lines    map[member.Conn]*line
	lastConn uint64

	leaders map[uint64]*host // by term
	clocks  map[uint64]*counted
	sends   map[ticket]time.Duration // when a command was first sent

	// denied are the owners that were told that they certainly have no claim, and never will.
	denied map[string]bool

	voting time.Duration // until when the power fails wherever a vote is given

	calm     bool // no more faults
	changing bool // the members
	working  int  // workers that have not had their last lock
	over     bool
	failure  string
	tally
}

// newWorld makes a world. With names of faults, nothing else goes wrong in it.
func newWorld(seed uint64, out io.Writer, only ...string) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 0x5eed)), lines: map[member.Conn]*line{}, leaders: map[uint64]*host{}, clocks: map[uint64]*counted{}, sends: map[ticket]time.Duration{}, denied: map[string]bool{}}
	w.plan = newPlan(w.rng)
	if len(only) > 0 {
		w.plan.faults = slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return !slices.Contains(only, f.name) })
	}
	w.trace = newTrace(&w.now, out)
	w.network = &network{w: w, cut: map[way]int{}}
	w.network.usual()
	w.promises = newPromises(&w.now, w.fail)
	w.truth = &truth{
		fail: w.fail, keys: map[string]*chronicle{},
		referee: &referee{fail: w.fail, ended: w.expired, claimed: w.claimed},
	}
	w.truth.referee.stand = w.truth.write
	for i := range w.plan.members {
		w.founding = append(w.founding, machine.Member{ID: uint64(i + 1), Name: fmt.Sprintf("m%d", i+1), Addr: fmt.Sprintf("m%d:1", i+1)})
	}
	for range w.plan.members {
		w.newHost(false)
	}
	for i := range w.plan.keys {
		w.keys = append(w.keys, fmt.Sprintf("k%d", i+1))
	}
	for i := range w.plan.clients {
		w.clients = append(w.clients, &client{w: w, place: mostHosts + i, name: fmt.Sprintf("c%d", i+1), clock: w.newClock()})
	}
	w.places = mostHosts + w.plan.clients
	return w
}

func (w *world) newClock() clock {
	return clock{rate: 1 - skew + 2*skew*w.rng.Float64(), start: w.some(0, time.Hour)}
}

// newHost makes a machine with an empty disk.
func (w *world) newHost(join bool) *host {
	n := len(w.hosts) + 1
	h := &host{
		w: w, place: n - 1, join: join, clock: w.newClock(), disk: disk.NewMemory(), drive: &drive{w: w},
		self: machine.Member{ID: uint64(n), Name: fmt.Sprintf("m%d", n), Addr: fmt.Sprintf("m%d:1", n)},
	}
	w.hosts = append(w.hosts, h)
	// Small segments, so that there are many. The rest is left to the member.
	if err := wal.CreateSized(h.disk, wal.Identity{Cluster: "sim", Member: h.self.ID, Name: h.self.Name}, w.plan.segment); err != nil {
		w.fail("a log cannot be made: %v", err)
	}
	h.disk.Hook(h.drive.hook)
	return h
}

// founders are the members that a host is told of.
func (w *world) founders(h *host) []machine.Member {
	if h.join {
		return nil
	}
	return w.founding
}

func (w *world) host(id uint64) *host {
	if id == 0 || id > uint64(len(w.hosts)) {
		return nil
	}
	return w.hosts[id-1]
}

// some chooses a time.
func (w *world) some(low, high time.Duration) time.Duration { return between(w.rng, low, high) }

func (w *world) newSessionID() (id command.SessionID) {
	for i := range id {
		id[i] = byte(w.rng.Uint32())
	}
	return id
}

// fail notes what is wrong. The first is what counts.
func (w *world) fail(format string, args ...any) {
	if w.failure == "" {
		w.failure = fmt.Sprintf("at %v: %s", w.now, fmt.Sprintf(format, args...))
		w.trace.line("FAILED %s", w.failure)
	}
}

// run lets it all happen.
func (w *world) run() {
	for _, h := range w.hosts {
		w.after(w.some(0, 300*time.Millisecond), h.start)
	}
	for _, c := range w.clients {
		w.after(w.some(0, time.Second), c.begin)
	}
	w.after(w.some(500*time.Millisecond, 2*time.Second), w.disturb)
	w.at(w.plan.duration, w.becalm)
	for w.failure == "" && !w.over && w.step() {
	}
	w.entries = int(w.truth.last())
}

// disturb lets something go wrong, and plans the next.
func (w *world) disturb() {
	if w.calm {
		return
	}
	f := w.plan.faults[w.rng.IntN(len(w.plan.faults))]
	w.trace.note('f', digest([]byte(f.name)))
	w.trace.line("fault: %s", f.name)
	f.happen(w)
	w.after(w.some(w.plan.pace/4, 2*w.plan.pace), w.disturb)
}
