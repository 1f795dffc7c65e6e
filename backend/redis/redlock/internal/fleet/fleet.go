// Package fleet is the list of the masters of a Redlock: which they are, which of them may answer, and
// what is done about the others.
//
// Each node has an identity, a copy of the list, and a record that certifies one process of its server.
// A loop for each node looks at it while it takes no part; plan, which asks nobody, decides what is to be
// done; each change of a node is one script, which does nothing if the node is not what was seen.
package fleet

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fencelock/fencelock/backend/redis/redlock/internal/script"
	"github.com/fencelock/fencelock/backend/redis/redlock/internal/wire"
)

// Config is what a fleet is made of.
type Config struct {
	Names   []string // addresses, for people; one for each server
	Servers []Server
	Keys    *script.Names
	Channel string        // of this client
	TTL     time.Duration // the longest of a list that has to be made, or that the list must have; zero if any will do
	Logger  *slog.Logger
	Notify  func(node int, n wire.Notice) // does not block; node is as in Nodes

	// Watch, if it is not empty, has a function for each server, or nil: it goes along with the looks at
	// it until the fleet can be used, and says more of their errors.
	Watch []func(context.Context) (context.Context, func(error) error)
}

// Fleet are the nodes of one client.
type Fleet struct {
	conf    Config
	members []*Member

	closing context.Context // done when Close begins
	stop    context.CancelFunc
	running sync.WaitGroup

	edition atomic.Uint64 // odd while members get another list

	mu           sync.Mutex
	observations []observation
	known        []known
	steps        []step
	list         *List         // nil before it is known
	since        time.Time     // from when it is
	opened       bool          // the log is told of changes
	changed      chan struct{} // closed and made again with each observation
}

// New begins to look at all nodes. They are closed with the fleet.
func New(c Config) *Fleet {
	n := len(c.Servers)
	f := &Fleet{conf: c, observations: make([]observation, n), known: make([]known, n), steps: make([]step, n), changed: make(chan struct{})}
	f.closing, f.stop = context.WithCancel(context.Background())
	for i, s := range c.Servers {
		m := &Member{
			fleet: f, index: i, name: c.Names[i], wakeup: make(chan struct{}, 1),
			ask: asker{s, prefixOf(c.Keys)}, log: c.Logger.With("node", c.Names[i]),
		}
		m.position.Store(-1)
		m.state.Store(&state{err: passing("it has not answered yet")})
		f.members = append(f.members, m)
	}
	for _, m := range f.members {
		f.running.Go(m.run)
	}
	return f
}

// prefixOf is what all names begin with.
func prefixOf(k *script.Names) string {
	name := k.Node()
	return name[:len(name)-len("node")]
}

// Nodes are the members, as the recipe sees them: in the order of their identities, which is the same for
// all clients whatever the order in their URLs, as far as those are known. It is called once, after Wait.
func (f *Fleet) Nodes() []wire.Node {
	f.mu.Lock()
	defer f.mu.Unlock()
	identities := f.list.identities()
	all := make([]wire.Node, len(f.members))
	var unknown []*Member
	for i, m := range f.members {
		position := slices.Index(identities, f.observations[i].id)
		if position < 0 || all[position] != nil {
			unknown = append(unknown, m)
			continue
		}
		all[position] = m
		m.position.Store(int32(position)) //nolint:gosec // 7 at most
	}
	for position := range all {
		if all[position] == nil {
			all[position] = unknown[0]
			unknown[0].position.Store(int32(position)) //nolint:gosec // 7 at most
			unknown = unknown[1:]
		}
	}
	return all
}

// List is the list that the nodes are of; nil before it is known.
func (f *Fleet) List() *List {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.list
}

// Edition tells apart the lists that requests are sent under. If it is the same before some requests and after
// their answers, all were sent under one list: answers under two lists make no majority, for a
// node that was replaced still answers those who do not know. It waits while a list is being published.
func (f *Fleet) Edition() uint64 {
	if n := f.edition.Load(); n%2 == 0 {
		return n
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.edition.Load()
}

// Trip is the longest of the round trips to the nodes that take part, as far as they were measured.
func (f *Fleet) Trip() (trip time.Duration) {
	for _, m := range f.members {
		if m.Fit() == nil {
			trip = max(trip, m.ask.server.Trip())
		}
	}
	return trip
}

// observed records what a look at a node has found, and returns what is to be done about it. It publishes what that
// means for other nodes, and wakes their loops.
func (f *Fleet) observed(i int, s observation) step {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.observations[i] = s
	f.members[i].suspected = false
	f.known[i].remember(s, time.Now())
	f.replanLocked(i)
	if l := f.list; l != nil && s.list != nil && s.list.ID == l.ID && s.list.Version > l.Version {
		// Others may have it too, which is seen only when they are looked at.
		for j, m := range f.members {
			if j != i {
				m.wake()
			}
		}
	}
	return f.steps[i]
}

// replanLocked makes a plan, and publishes it. The loop of node i needs not be told.
func (f *Fleet) replanLocked(i int) {
	now := time.Now()
	list, steps := plan(f.viewLocked(now))
	if list != nil && (f.list == nil || f.list.text != list.text) {
		f.list, f.since = list, now
		f.edition.Add(1)
		defer f.edition.Add(1) // when all members are published
		// The wait of a node counts from when the list was seen, so think again.
		_, steps = plan(f.viewLocked(now))
	}
	before := f.steps
	f.steps = steps
	for j, m := range f.members {
		s, st := f.observations[j], steps[j]
		if st.fit() {
			f.known[j].id, f.known[j].count = s.id, s.cert.count
		}
		m.publish(s, st)
		if j != i && (st.do != before[j].do || st.fit() != before[j].fit()) {
			m.wake()
		}
	}
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *Fleet) viewLocked(now time.Time) view {
	return view{names: f.conf.Names, observations: f.observations, known: f.known, list: f.list, since: f.since, ttl: f.conf.TTL, now: now}
}

// others returns the members that take part, but for one, with their records; and those that only answer.
func (f *Fleet) others(i int) (fit map[*Member]record, rest []*Member) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fit = make(map[*Member]record)
	for j, m := range f.members {
		switch {
		case j == i:
		case f.steps[j].fit():
			fit[m] = f.observations[j].cert
		case f.observations[j].answers():
			rest = append(rest, m)
		}
	}
	return fit, rest
}

// Close ends all that is under way, and closes the servers.
func (f *Fleet) Close() {
	f.stop()
	var closing sync.WaitGroup
	for _, m := range f.members {
		closing.Go(m.ask.server.Close)
	}
	closing.Wait()
	f.running.Wait()
}
