package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
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

	hosts    []*host          // by place: the one that is there now
	byID     map[uint64]*host // all that ever were
	founders []statemachine.Member // by name and address
	losses
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
	w := &world{rng: rand.New(rand.NewPCG(seed, 0x5eed)), byID: map[uint64]*host{}, losses: losses{records: map[uint64]uint64{}}, lines: map[member.Conn]*line{}, leaders: map[uint64]*host{}, clocks: map[uint64]*counted{}, sends: map[ticket]time.Duration{}, denied: map[string]bool{}}
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
		name := hostName(i)
		w.founders = append(w.founders, statemachine.Member{Name: name, Addr: name + ":1"})
	}
	for range w.plan.members {
		w.newHost(false)
	}
	w.voters = w.plan.members
	for i := range w.plan.keys {
		w.keys = append(w.keys, fmt.Sprintf("k%d", i+1))
	}
	for i := range w.plan.clients {
		w.clients = append(w.clients, &client{w: w, place: maxHosts + i, name: fmt.Sprintf("c%d", i+1), clock: w.newClock()})
	}
	w.places = maxHosts + w.plan.clients
	return w
}

func (w *world) newClock() clock {
	return clock{rate: 1 - skew + 2*skew*w.rng.Float64(), start: w.some(0, time.Hour)}
}

func hostName(place int) string { return fmt.Sprintf("m%d", place+1) }

// newHost makes a machine with an empty disk, at a new place.
func (w *world) newHost(join bool) *host {
	w.hosts = append(w.hosts, nil)
	return w.newHostAt(len(w.hosts)-1, join)
}

// newHostAt makes a machine with an empty disk in the place of another, under its name.
func (w *world) newHostAt(place int, join bool) *host {
	name := hostName(place)
	h := &host{
		w: w, place: place, join: join, clock: w.newClock(), disk: disk.NewMemory(), drive: &drive{w: w},
		self: statemachine.Member{Name: name, Addr: name + ":1"},
	}
	if was := w.hosts[place]; was != nil {
		h.made = was.made + 1
	}
	w.hosts[place] = h
	h.disk.Hook(h.drive.hook)
	return h
}

// host is who has, or had, an id.
func (w *world) host(id uint64) *host { return w.byID[id] }

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
	w.firstStart()
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
