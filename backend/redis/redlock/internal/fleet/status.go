package fleet

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// Status is what an operator sees of a fleet.
type Status struct {
	List  *List // nil if no majority has one
	Nodes []NodeStatus
}

// NodeStatus is what an operator sees of a node.
type NodeStatus struct {
	Node     string // its address
	Identity string // "" if it has none
	Version  int    // of its list; 0 if it has none
	Err      error  // why it takes no part; nil if it does
}

// Look looks at all nodes once, and changes nothing. A node that a running client would certify at once
// is shown with that.
func Look(ctx context.Context, c Config) Status {
	v := c.lookAll(ctx)
	list, steps := plan(v)
	s := Status{List: list}
	for i, n := range v.observations {
		one := NodeStatus{Node: c.Names[i], Identity: n.id, Err: inWords(steps[i].err)}
		if n.list != nil {
			one.Version = n.list.Version
		}
		s.Nodes = append(s.Nodes, one)
	}
	return s
}

// lookAll looks at all nodes at the same time.
func (c Config) lookAll(ctx context.Context) view {
	v := view{
		names: c.Names, observations: make([]observation, len(c.Servers)), known: make([]known, len(c.Servers)), ttl: c.TTL,
		now: time.Now(), since: time.Now(),
	}
	var looking sync.WaitGroup
	for i := range c.Servers {
		looking.Go(func() {
			v.observations[i] = c.asker(i).look(ctx)
			v.known[i].remember(v.observations[i], v.now)
		})
	}
	looking.Wait()
	return v
}

func (c Config) asker(i int) asker { return asker{c.Servers[i], prefixOf(c.Keys)} }

// String is the list in a line.
func (l *List) String() string {
	return fmt.Sprintf("list %s, version %d, %s, longest TTL %v, nodes %s", l.ID, l.Version, l.Level, l.Longest(), l.Addresses())
}

// addressesOf are where the nodes with some identities were.
func (l *List) addressesOf(identities []string) (all []string) {
	for _, n := range l.Nodes {
		if slices.Contains(identities, n.Identity) {
			all = append(all, n.Address)
		}
	}
	return all
}
