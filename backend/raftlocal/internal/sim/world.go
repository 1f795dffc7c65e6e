// Package sim runs whole clusters of the built-in Raft in virtual time, from a seed: members,
// clients, disks, clocks and networks, and all that goes wrong with them. Members, state
// machine, log, snapshots and sessions are the very code that serves; here is only what they
// speak to. There is no goroutine and no clock, and chance comes from the seed alone, so a
// seed is one run, whatever machine it runs on: the hash of all its events says so.
//
//	go test ./backend/raftlocal/internal/sim -run TestSim -seeds 5000
//	go test ./backend/raftlocal/internal/sim -run TestSim -seed 17 -v     # one, with a trace
//	go test ./backend/raftlocal/internal/sim -run TestSim -fault ring     # one kind of fault
//
// # A world
//
// 1, 3 or 5 members, each with a disk that loses what was not synced (disk.Memory) and a clock
// of its own rate; up to 5 join later. They found the cluster by package bootstrap, and one disk at a
// time may be lost, before, while and after that: then its member comes with an empty one, and is
// replaced (bootstrap.go, lost.go). 4 to 6 clients, whose workers take locks, renew, release,
// cancel, forget, oversleep and die, over connections that are late, stall and break. scenario.go
// says what a seed may choose, faults.go what may happen. In the end all is mended, and then
// everybody who wants a lock must get one, and nothing may stay in memory.
//
// # What is checked
//
// All along, and a run ends with the first thing that is wrong:
//
//   - promises.go: what clients were told can be true. No two are promised a key at a moment,
//     tokens are unique and rise with each grant of a key that was asked for after another was
//     known, no lease is lost before the time that was promised, and no write of a
//     holder comes too late for a store that looks at tokens.
//   - committed_log.go: one log. Whatever entry a member applies, all apply, with one outcome and one
//     state after it, whatever crashes in between. Reads tell how a key stood at some moment
//     after they were asked for.
//   - model.go: each answer and each push is the right one, by the rules said once more in
//     the simplest way: so commands run once, in order, and nothing expires early or late.
//   - referee.go: one leader in a term; the clock of the cluster never goes further than its
//     leader was awake, and no claim ends earlier than its TTL after it was asked for, by the
//     fastest of clocks; what was certainly refused or released is never granted.
//   - bootstrap.go: no two records are begun with; a directory keeps its id; only one that was lost
//     is told that the cluster has begun without it.
//   - quiescence.go: every worker is served, sessions and claims end, members are equal, and an idle
//     cluster writes nothing.
//
// That the checks see what they are to see is itself tested: TestMutants.
package sim

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/fencelock/fencelock/backend/raftlocal/internal/command"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/disk"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/member"
	"github.com/fencelock/fencelock/backend/raftlocal/internal/statemachine"
)

// world is one run: members, clients, and what is between them.
type world struct {
	schedule
	rng          *rand.Rand
	scenario     scenario
	trace        *trace
	network      *network
	committedLog *committedLog
	promises     *promises

	hosts          []*host               // by place: the one that is there now
	byID           map[uint64]*host      // all that ever were
	initialMembers []statemachine.Member // by name and address
	losses         losses
	operator       operator
	clients        []*client
	keys           []string
	places         int
	conns          map[member.Conn]*conn
	lastConn       uint64

	referee referee
	voting  time.Duration // until when the power fails wherever a vote is given

	quiescent bool // no more faults
	working   int  // workers that have not had their last lock
	over      bool
	failure   string
	tally
}

// newWorld makes a world. With names of faults, nothing else goes wrong in it.
func newWorld(seed uint64, out io.Writer, only ...string) *world {
	w := &world{rng: rand.New(rand.NewPCG(seed, 0x5eed)), byID: map[uint64]*host{}, conns: map[member.Conn]*conn{}}
	w.losses, w.operator = losses{w: w, records: map[uint64]uint64{}}, operator{w: w}
	w.scenario = newScenario(w.rng)
	if len(only) > 0 {
		w.scenario.faults = slices.DeleteFunc(slices.Clone(faults), func(f fault) bool { return !slices.Contains(only, f.name) })
	}
	w.trace = newTrace(&w.now, out)
	w.network = &network{w: w, cut: map[way]int{}}
	w.network.usual()
	w.promises = newPromises(&w.now, w.fail)
	w.committedLog = &committedLog{
		fail: w.fail, keys: map[string]*keyHistory{},
		model: &model{fail: w.fail, ended: w.referee.expired, claimed: w.referee.claimed},
	}
	w.referee = referee{
		now: &w.now, fail: w.fail, trace: w.trace, log: w.committedLog,
		leaders: map[uint64]*host{}, clocks: map[uint64]*counted{}, sends: map[commandID]time.Duration{}, denied: map[string]bool{},
	}
	w.committedLog.model.stand = w.committedLog.write
	for i := range w.scenario.members {
		name := hostName(i)
		w.initialMembers = append(w.initialMembers, statemachine.Member{Name: name, Addr: name + ":1"})
	}
	for range w.scenario.members {
		w.newHost(false)
	}
	w.losses.voters = w.scenario.members
	for i := range w.scenario.keys {
		w.keys = append(w.keys, fmt.Sprintf("k%d", i+1))
	}
	for i := range w.scenario.clients {
		w.clients = append(w.clients, &client{w: w, place: maxHosts + i, name: fmt.Sprintf("c%d", i+1), clock: w.newClock()})
	}
	w.places = maxHosts + w.scenario.clients
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
	w.at(w.scenario.duration, w.quiesce)
	for w.failure == "" && !w.over && w.step() {
	}
	w.entries = int(w.committedLog.last())
}

// disturb lets something go wrong, and plans the next.
func (w *world) disturb() {
	if w.quiescent {
		return
	}
	f := w.scenario.faults[w.rng.IntN(len(w.scenario.faults))]
	w.trace.note('f', digest([]byte(f.name)))
	w.trace.line("fault: %s", f.name)
	f.happen(w)
	w.after(w.some(w.scenario.pace/4, 2*w.scenario.pace), w.disturb)
}

// schedule is virtual time: what is to happen, in the order of when. What happens at the
// same moment happens in the order in which it was planned, so that a run is one sequence.
type schedule struct {
	now     time.Duration // since the world began
	planned uint64
	heap    []event
}

type event struct {
	at    time.Duration
	order uint64
	run   func()
}

func (e event) before(o event) bool {
	return e.at < o.at || e.at == o.at && e.order < o.order
}

// at plans something for a moment, or for now if that has passed.
func (s *schedule) at(when time.Duration, run func()) {
	s.planned++
	s.heap = append(s.heap, event{max(when, s.now), s.planned, run})
	i := len(s.heap) - 1
	for i > 0 {
		parent := (i - 1) / 2
		if !s.heap[i].before(s.heap[parent]) {
			break
		}
		s.heap[i], s.heap[parent] = s.heap[parent], s.heap[i]
		i = parent
	}
}

func (s *schedule) after(d time.Duration, run func()) { s.at(s.now+d, run) }

// step lets the next thing happen. It reports false when nothing is left.
func (s *schedule) step() bool {
	if len(s.heap) == 0 {
		return false
	}
	next := s.heap[0]
	last := len(s.heap) - 1
	s.heap[0] = s.heap[last]
	s.heap[last] = event{}
	s.heap = s.heap[:last]
	s.sink()
	s.now = next.at
	next.run()
	return true
}

func (s *schedule) sink() {
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(s.heap); child++ {
			if s.heap[child].before(s.heap[least]) {
				least = child
			}
		}
		if least == i {
			return
		}
		s.heap[i], s.heap[least] = s.heap[least], s.heap[i]
		i = least
	}
}

// skew is how far the rate of a clock may be off, either way. The lease that a client counts
// on is 0.9 of its TTL: with a leader that is fast by this and a client that is slow by it,
// 0.9/(1-skew) is still less than 1/(1+skew).
const skew = 0.05

// clock is a monotonic clock of one machine: it starts anywhere and runs at its own rate.
type clock struct {
	rate  float64
	start time.Duration
}

// read tells what it shows at a moment of the world.
func (c clock) read(now time.Duration) time.Duration {
	return c.start + time.Duration(float64(now)*c.rate)
}

// real is how long the world takes for what this clock shows as d.
func (c clock) real(d time.Duration) time.Duration {
	return time.Duration(float64(d) / c.rate)
}
